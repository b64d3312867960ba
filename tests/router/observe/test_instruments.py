"""What is counted comes out, in names and shapes that Prometheus takes."""

import pytest

from router.observe.instruments import Counter, Histogram
from tests.router.metrics_page import page


def test_a_counter_adds_by_its_labels() -> None:
    counter = Counter("c", "help", ("a",))
    assert not [name for name in page(counter) if name.startswith("c_total")]
    counter.add(2, ("x",))
    counter.add(labels=("x",))
    counter.add(0.5, ("y",))
    found = page(counter)
    assert (found["c_total{a=x}"], found["c_total{a=y}"]) == (3, 0.5)


def test_a_counter_without_labels_is_there_from_the_start() -> None:
    assert page(Counter("c", "help"))["c_total{}"] == 0


def test_a_value_counts_in_its_bucket_and_in_all_above() -> None:
    histogram = Histogram("h_seconds", "help", bounds=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    found = page(histogram)
    assert found["h_seconds_bucket{le=0.1}"] == 2
    assert found["h_seconds_bucket{le=1.0}"] == 3
    assert found["h_seconds_bucket{le=+Inf}"] == found["h_seconds_count{}"] == 4
    assert found["h_seconds_sum{}"] == pytest.approx(7.65)


def test_a_series_and_its_histogram_are_one() -> None:
    histogram = Histogram("h_seconds", "help", ("a",), bounds=(1.0,))
    series = histogram.series(("x",))
    series.observe(0.5)
    histogram.observe(0.5, ("x",))
    histogram.observe(0.5, ("y",))
    assert histogram.series(("x",)) is series
    found = page(histogram)
    assert (found["h_seconds_count{a=x}"], found["h_seconds_count{a=y}"]) == (2, 1)
