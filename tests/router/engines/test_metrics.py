"""Arithmetic over samples, of which any may be nonsense."""

import math

import pytest

from router.engines.metrics import MAX_VALUE, count, filtered_page, share, total, values
from router.engines.prometheus_text import Sample


def samples(*found: float, name: str = "m") -> list[Sample]:
    return [Sample(name, {}, value) for value in found]


def test_the_page_of_some_metrics() -> None:
    assert filtered_page(["a", "b"]) == "/metrics/?name[]=a&name[]=b"


def test_values_are_those_of_the_name_that_can_be_true() -> None:
    assert values(samples(0, 1.5, MAX_VALUE) + samples(7, name="n"), "m") == [0, 1.5, MAX_VALUE]
    assert values(samples(-1, math.inf, math.nan, MAX_VALUE * 2), "m") == []


def test_a_total_is_a_whole_number_over_all_ranks() -> None:
    assert total(samples(1.4, 2.4), "m") == 4
    assert total(samples(-5), "m") == total([], "m") == 0


def test_a_share_is_a_mean_within_its_bounds() -> None:
    assert share(samples(0.2, 0.6), "m") == pytest.approx(0.4)
    assert share(samples(3), "m") == 1.0
    assert share([], "m") == 0.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16", 16), ("0", 0), ("", 0), ("None", 0), ("-1", 0), ("1.5", 0), ("²", 0), ("٣", 0), ("9" * 18, 10**18 - 1)],
)
def test_a_count_is_of_plain_digits(text: str, expected: int) -> None:
    assert count(text) == expected


def test_a_count_too_long_to_be_one() -> None:
    assert count("9" * 19) == 0
