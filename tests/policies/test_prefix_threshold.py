"""Worked examples of the published rule: imbalance first, then the match rate, then the shortest queue."""

import random

import pytest

from policies.api import Candidate, Selection
from policies.prefix_threshold import PrefixThreshold
from tests.policies.candidates import a_request, a_worker


def select(candidates: list[Candidate], seed: int = 0) -> Selection:
    """The selection, the same in both orders."""
    there, back = (
        PrefixThreshold(random.Random(seed)).select(a_request(), ordered) for ordered in (candidates, candidates[::-1])
    )
    assert there == back
    return there


def loads(holder: int, idle: int, cached_tokens: int = 9_000) -> list[Candidate]:
    return [a_worker("holder", cached_tokens=cached_tokens, in_flight=holder), a_worker("idle", in_flight=idle)]


@pytest.mark.parametrize(
    ("holder", "idle"),
    [
        (64, 0),  # the gap must exceed 64
        (80, 16),
        (195, 130),  # exactly 1.5 times as many
        (400, 300),  # 100 more, yet only 1.33 times as many
        (5, 0),
        (12, 40),
    ],
)
def test_the_holder_is_chosen_while_the_fleet_is_balanced(holder: int, idle: int) -> None:
    selection = select(loads(holder, idle))
    assert (selection.candidate.worker, selection.reason, selection.cost) == ("holder", "match", 1_000)


@pytest.mark.parametrize(("holder", "idle"), [(65, 0), (81, 16), (196, 130), (500, 200)])
def test_affinity_is_dropped_when_both_gaps_are_exceeded(holder: int, idle: int) -> None:
    selection = select(loads(holder, idle))
    assert (selection.candidate.worker, selection.reason, selection.cost) == ("idle", "imbalanced", idle)


def test_a_third_worker_can_unbalance_the_fleet() -> None:
    crowded = a_worker("crowded", in_flight=90)
    assert select([*loads(7, 12), crowded]).reason == "imbalanced"
    assert select([*loads(7, 12), crowded]).candidate.worker == "holder"  # as the shortest queue
    assert select([*loads(12, 7), crowded]).candidate.worker == "idle"


@pytest.mark.parametrize(
    ("cached_tokens", "worker", "reason"),
    [(3_000, "idle", "no_match"), (3_008, "holder", "match"), (64, "idle", "no_match"), (0, "idle", "no_match")],
)
def test_the_match_must_exceed_three_tenths_of_the_prompt(cached_tokens: int, worker: str, reason: str) -> None:
    selection = select(loads(9, 4, cached_tokens))
    assert (selection.candidate.worker, selection.reason) == (worker, reason)


def test_the_deepest_holder_wins_by_any_margin_and_at_any_load_below_the_gap() -> None:
    deeper = a_worker("deeper", cached_tokens=9_064, in_flight=60)
    assert select([deeper, *loads(3, 0)]).candidate == deeper


def test_equally_deep_holders_are_drawn_from() -> None:
    candidates = [a_worker("a", cached_tokens=8_000, in_flight=3), a_worker("b", cached_tokens=8_000, in_flight=40)]
    assert {PrefixThreshold(random.Random(s)).select(a_request(), candidates).candidate.worker for s in range(50)} == {
        "a",
        "b",
    }
