"""The linear bound: by hand, against a search, and over what changes it."""

import random
from itertools import product

import pytest

from loadtests.laboratory.pressure.bound import Fleet, needs, turns_per_s
from loadtests.laboratory.pressure.cell import profile_of
from tests.loadtests.laboratory.simulate.scripts import script

SCRIPTS = [script("a", [20, 25, 40], answer=30, think_s=2.0), script("b", [50, 60, 62], answer=5, think_s=7.0)]


def test_with_memory_for_all_only_the_work_or_the_users_limit() -> None:
    profile = profile_of(1_000, 1 << 30)
    prefill = sum(need.new_tokens for need in needs(SCRIPTS)) / 6 / 1_000
    answer = sum(need.answer_tokens * profile.decode_s for need in needs(SCRIPTS)) / 6
    few = turns_per_s(SCRIPTS, Fleet(4, 1, profile))
    pauses = (2 * 2.0 + 2 * 7.0) / 6
    assert few == pytest.approx(1 / (prefill + answer + pauses), rel=0.01)
    many = turns_per_s(SCRIPTS, Fleet(4, 100_000, profile))
    assert many == pytest.approx(4 / prefill, rel=0.01)


def test_the_walk_over_sorted_pauses_is_no_worse_than_any_choice_of_pauses() -> None:
    rng = random.Random(1)
    for _ in range(20):
        scripts = [script("r", sorted(rng.sample(range(10, 90), 5)), rng.randint(5, 50), rng.uniform(0, 9))]
        fleet = Fleet(2, rng.randint(2, 30), profile_of(rng.uniform(300, 3_000), rng.randint(6_000, 40_000)))
        assert turns_per_s(scripts, fleet) >= _best_of_all(scripts, fleet) - 1e-9


def _best_of_all(scripts: list, fleet: Fleet) -> float:  # type: ignore[type-arg]
    """Every pause kept in quarters."""
    asked, profile = list(needs(scripts)), fleet.profile
    mean = sum(need.context_tokens for need in asked) / len(asked)
    at_once = max(1.0, min(fleet.users / fleet.workers, profile.kv_tokens / mean))
    best = 0.0
    for kept in product((0, 0.25, 0.5, 0.75, 1), repeat=len(asked) - 1):
        gpu = demand = memory = 0.0
        for share, need in zip((0, *kept), asked, strict=True):
            load = need.kept_tokens / profile.prefill_rate
            prefill = need.new_tokens / profile.prefill_rate
            attended = need.answer_tokens * need.context_tokens * profile.kv_token_s
            stay = prefill + need.answer_tokens * profile.decode_s + attended
            gpu += prefill + attended + need.answer_tokens * profile.decode_s / at_once + (1 - share) * load
            demand += need.pause_s + stay + (1 - share) * load
            held = share * need.pause_s + (1 - share) * load / 2
            memory += need.context_tokens * stay + need.kept_tokens * held
        seconds = max(gpu / fleet.workers, demand / fleet.users, memory / (profile.kv_tokens * fleet.workers))
        best = max(best, len(asked) / seconds)
    return best


def test_more_of_anything_is_never_less() -> None:
    least = turns_per_s(SCRIPTS, Fleet(2, 12, profile_of(1_000, 8_000)))
    assert turns_per_s(SCRIPTS, Fleet(3, 12, profile_of(1_000, 8_000))) > least
    assert turns_per_s(SCRIPTS, Fleet(2, 12, profile_of(2_000, 8_000))) > least
    assert turns_per_s(SCRIPTS, Fleet(2, 12, profile_of(1_000, 16_000))) > least


def test_a_shared_beginning_is_never_computed() -> None:
    alone, shared = ([script("a", [20, 25], shared=shared)] for shared in (0, 15))
    assert [need.new_tokens for need in needs(alone)] == [20 * 64 + 32, 5 * 64 + 32]
    assert [need.new_tokens for need in needs(shared)] == [5 * 64 + 32, 5 * 64 + 32]
