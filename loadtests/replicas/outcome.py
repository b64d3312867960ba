"""What an arm showed."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.endurance import results as r
from loadtests.endurance.report import Table, number


class Outcome(NamedTuple):
    """One row."""

    arm: str
    results: Sequence[r.Result]
    hit_rate: float
    """By the engines' own counters."""
    lasted_s: float


def table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """Every arm beside the first one that has a single router."""
    one = next((o.hit_rate for o in outcomes if o.arm.startswith("1 router")), float("nan"))
    return Table(
        title,
        ("arm", "requests", "not complete", "hit rate", "of one router's", "TTFT p50", "p90", "p99", "seconds"),
        [_row(outcome, one) for outcome in outcomes],
    )


def _row(outcome: Outcome, one: float) -> tuple[str, ...]:
    results = outcome.results
    bad = len(results) - r.count(results, r.End.COMPLETE)
    times = [number(r.ttft_ms(results, share), "ms") for share in (0.5, 0.9, 0.99)]
    rates = (number(100 * outcome.hit_rate, "%", 2), number(outcome.hit_rate / one, "", 4))
    return (outcome.arm, number(len(results)), number(bad), *rates, *times, number(outcome.lasted_s))
