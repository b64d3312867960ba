"""The reader of Prometheus text: what it reads, skips and survives; and that it agrees with the official one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from router.engines.prometheus_text import Sample, Wanted


def test_reads_the_wanted_names_alone() -> None:
    text = '# HELP a x\n# TYPE a gauge\na 1\na_total 2\na{x="y"} 3\nb 4\nab 5\n'
    page = Wanted(["a", "b"]).read(text)
    assert page.samples == [Sample("a", {}, 1.0), Sample("a", {"x": "y"}, 3.0), Sample("b", {}, 4.0)]
    assert page.broken_lines == 0


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("a 1.5", {}, 1.5),
        ("a\t1.5", {}, 1.5),
        ("a 1.5 1700000000000", {}, 1.5),
        ("a 1.79540220431e+09\r", {}, 1795402204.31),
        ("a +Inf", {}, math.inf),
        ("a -Inf", {}, -math.inf),
        ("a{} 1", {}, 1.0),
        ('a{x="",y="2",} 1', {"x": "", "y": "2"}, 1.0),
        ('a { x = "1" , y="2" } 1', {"x": "1", "y": "2"}, 1.0),
        (r'a{x="q\"\\n\n\t}"} 1', {"x": 'q"\\n\n\\t}'}, 1.0),
        ('a{x="{}, # \u00e9 1"} 1', {"x": "{}, # \u00e9 1"}, 1.0),
        ('a{x="1"} 1 # {trace_id="KOO5S4vxi0o"} 0.67 1520879607.789', {"x": "1"}, 1.0),
        ('a 1 # {trace_id="KOO5S4vxi0o"} 0.67', {}, 1.0),
        ('a{x="1"}7', {"x": "1"}, 7.0),
    ],
)
def test_reads_every_form_of_a_line(line: str, labels: dict[str, str], value: float) -> None:
    page = Wanted(["a"]).read(f"other 1\n{line}\nother 2\n")
    assert page.samples == [Sample("a", labels, value)]


def test_reads_nan() -> None:
    (sample,) = Wanted(["a"]).read("a NaN").samples
    assert math.isnan(sample.value)


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a ",
        "a one",
        "a 1_000",
        "a{",
        "a{x} 1",
        'a{x="1} 1',
        'a{x="1"',
        'a{x="1"}',
        'a{x="1"y="2"} 1',
        'a{x="1\\"} 1',
        'a{x="1"}} 1',
        "a{x='1'} 1",
        'a{"x"="1"} 1',
    ],
)
def test_a_broken_line_is_skipped_and_counted(line: str) -> None:
    page = Wanted(["a", "b"]).read(f"b 1\n{line}\nb 2\n")
    assert [sample.value for sample in page.samples] == [1.0, 2.0]
    assert page.broken_lines == 1


@pytest.mark.parametrize("text", ["", "\n\n", "<!doctype html>\n<html>a 1</html>", '{"a": 1}'])
def test_other_texts_hold_no_samples(text: str) -> None:
    assert Wanted(["a"]).read(text) == ([], 0)


@given(st.text() | st.text('a{}",=\\ \n\tx1#'))
def test_never_raises(text: str) -> None:
    page = Wanted(["a"]).read("a" + text)
    assert len(page.samples) + page.broken_lines <= text.count("\n") + 1


@given(st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\r")), st.floats(), max_size=5))
def test_agrees_with_the_official_parser(values: dict[str, float]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("a", "h", ["x"], registry=registry)
    histogram = Histogram("b", "h", ["x"], registry=registry)
    counter = Counter("c", "h", registry=registry)
    counter.inc(3)
    for label, value in values.items():
        gauge.labels(label).set(value)
        histogram.labels(label).observe(value)
    text = generate_latest(registry).decode()
    wanted = Wanted(["a", "b_sum", "b_bucket", "c_total"])
    expected = [
        (sample.name, sample.labels, repr(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted.names
    ]
    page = wanted.read(text)
    assert [(sample.name, sample.labels, repr(sample.value)) for sample in page.samples] == expected
    assert page.broken_lines == 0
