"""What an arm showed."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.endurance import results as r
from loadtests.endurance.report import Table, number
from loadtests.replicas.replay import Tokens

QUANTILES = (0.5, 0.9, 0.99)


class Outcome(NamedTuple):
    """One run of an arm; several with one name are one row."""

    arm: str
    results: Sequence[r.Result]
    tokens: Tokens
    """By the engines' own counters."""
    lasted_s: float


def merged(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """All runs of each arm together, in the order of the arms' first runs."""
    found: dict[str, Outcome] = {}
    for one in outcomes:
        known = found.get(one.arm, Outcome(one.arm, (), Tokens(0, 0), 0.0))
        tokens = Tokens(known.tokens.queried + one.tokens.queried, known.tokens.hit + one.tokens.hit)
        found[one.arm] = Outcome(one.arm, (*known.results, *one.results), tokens, known.lasted_s + one.lasted_s)
    return list(found.values())


def table(title: str, outcomes: Sequence[Outcome]) -> Table:
    """Every arm beside the one that has a single router."""
    arms = merged(outcomes)
    one = next((arm for arm in arms if arm.arm.startswith("1 router")), None)
    header = ("arm", "requests", "not complete", "hit rate", "of one router's", "TTFT p50", "p90", "p99")
    return Table(title, (*header, "of one router's p50, p90, p99"), [_row(arm, one) for arm in arms])


def _row(outcome: Outcome, one: Outcome | None) -> tuple[str, ...]:
    results = outcome.results
    bad = len(results) - r.count(results, r.End.COMPLETE)
    times = [r.ttft_ms(results, share) for share in QUANTILES]
    rate = outcome.tokens.hit_rate
    beside = (number(rate / one.tokens.hit_rate, "", 4), _ratios(times, one)) if one is not None else ("-", "-")
    counts = (number(len(results)), number(bad), number(100 * rate, "%", 2))
    return (outcome.arm, *counts, beside[0], *(number(time, "ms") for time in times), beside[1])


def _ratios(times: Sequence[float], one: Outcome) -> str:
    return ", ".join(
        number(time / r.ttft_ms(one.results, at), "", 2) for time, at in zip(times, QUANTILES, strict=True)
    )
