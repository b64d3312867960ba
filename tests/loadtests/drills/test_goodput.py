"""Goodput, refusals and fair shares, from results made by hand."""

import pytest

from loadtests.drills.goodput import Outcome, Sent, fair_shares
from loadtests.harness.results import End, Result


def sent(client: str, ttft_s: float, end: End = End.COMPLETE, status: int = 200) -> Sent:
    return Sent(client, Result(10.0, 10.0 + ttft_s if status == 200 else 0.0, 20.0, end, status, "w"))


def test_goodput_counts_complete_answers_that_began_in_time() -> None:
    results = [
        *(sent("a", 1.0), sent("a", 2.0), sent("a", 2.1), sent("b", 1.0, End.SILENT)),
        *(sent("b", 0, End.FAILED, 503), sent("b", 0, End.FAILED, 500), sent("b", 0, End.HUNG, 0)),
    ]
    outcome = Outcome(0.7, 10.0, results, 3, 2.0)
    assert (outcome.goodput, outcome.refused, outcome.lost) == (0.2, 1, 3)
    assert outcome.ttft_ms(1.0) == pytest.approx(2100)


@pytest.mark.parametrize(
    ("asked", "capacity", "expected"),
    [
        ({"a": 10, "b": 10}, 10, {"a": 5, "b": 5}),
        ({"a": 100, "b": 2, "c": 1}, 10, {"a": 7, "b": 2, "c": 1}),
        ({"a": 100, "b": 4, "c": 1}, 9, {"a": 4, "b": 4, "c": 1}),
        ({"a": 2, "b": 2}, 10, {"a": 2, "b": 2}),
    ],
)
def test_fair_shares(asked: dict[str, float], capacity: float, expected: dict[str, float]) -> None:
    assert fair_shares(asked, capacity) == expected


def test_shares_against_fair_ones() -> None:
    results = [sent("heavy", 1.0)] * 6 + [sent("heavy", 0, End.FAILED, 503)] * 20 + [sent("light", 1.0)] * 2
    assert Outcome(1, 10.0, results, 0, 2.0).shares() == {"heavy": 1.0, "light": 1.0}
    assert Outcome(1, 10.0, [*results, *[sent("light", 9.0)] * 2], 0, 2.0).shares() == {"heavy": 1.5, "light": 0.5}
