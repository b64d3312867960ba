"""Worked examples of the affinity filter and its release."""

import random

import pytest

from policies.api import Candidate, Selection
from policies.sticky_until_saturated import StickyUntilSaturated
from tests.policies.candidates import a_request, a_worker


def select(*candidates: Candidate) -> Selection:
    """The selection, the same in both orders."""
    there = StickyUntilSaturated(random.Random(0)).select(a_request(), candidates)
    assert there == StickyUntilSaturated(random.Random(0)).select(a_request(), candidates[::-1])
    return there


def test_costs_are_seconds_with_the_penalty_below_four_fifths() -> None:
    candidates = [
        a_worker("warm", cached_tokens=8_000, queued_tokens=14_000),
        a_worker("nearly", cached_tokens=7_936, queued_tokens=0),
        a_worker("fast", queued_tokens=6_000, prefill_rate=16_000.0),
    ]
    costs = StickyUntilSaturated(random.Random(0)).costs(a_request(), candidates)
    assert costs == pytest.approx([2.0, 18.258, 19.0])


@pytest.mark.parametrize(
    ("queued_tokens", "worker", "reason"),
    [
        (0, "warm", "warm"),
        (100_000, "warm", "warm"),
        (151_900, "warm", "warm"),  # 18 s at 8,000 tokens/s, less the 8,000 tokens that it need not compute
        (152_100, "cold", "released"),
        (900_000, "cold", "released"),
    ],
)
def test_the_warm_worker_keeps_its_prompt_until_18_s_behind(queued_tokens: int, worker: str, reason: str) -> None:
    selection = select(a_worker("warm", cached_tokens=8_000, queued_tokens=queued_tokens), a_worker("cold"))
    assert (selection.candidate.worker, selection.reason) == (worker, reason)


def test_of_several_warm_workers_the_one_with_least_work_wins() -> None:
    selection = select(
        a_worker("deepest", cached_tokens=9_900, queued_tokens=5_000),
        a_worker("shorter", cached_tokens=8_100, queued_tokens=2_000),
        a_worker("idle"),
    )
    assert (selection.candidate.worker, selection.reason) == ("shorter", "warm")


def test_when_all_warm_workers_are_saturated_the_best_of_all_is_taken() -> None:
    saturated = [a_worker(f"warm{n}", cached_tokens=9_000, queued_tokens=300_000 + n) for n in range(3)]
    assert (
        select(*saturated, a_worker("c", queued_tokens=9_000), a_worker("d", queued_tokens=7_000)).candidate[0] == "d"
    )


def test_without_a_warm_worker_least_work_wins() -> None:
    selection = select(a_worker("some", cached_tokens=3_000, queued_tokens=5_000), a_worker("none", queued_tokens=900))
    assert (selection.candidate.worker, selection.reason) == ("none", "cold")
