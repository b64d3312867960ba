"""What every policy keeps, whatever its rule."""

import inspect
import math
import random
import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import POLICIES, build
from policies.api import Candidate, RequestFacts
from policies.ties import NEAR_TIE
from tests.policies.candidates import a_request, a_worker, situations

every_policy = pytest.mark.parametrize("name", sorted(POLICIES))
LOWEST_COST_WINS = sorted(set(POLICIES) - {"power_of_two", "random"})


def test_these_are_all_policies() -> None:
    assert sorted(POLICIES) == [
        "consistent_hash",
        "expected_ttft",
        "least_loaded",
        "lmetric",
        "power_of_two",
        "prefix_cost",
        "prefix_threshold",
        "random",
        "round_robin",
        "sticky_until_saturated",
    ]


@every_policy
def test_each_file_starts_with_its_formula_and_tells_source_and_danger(name: str) -> None:
    module = sys.modules[type(build(name, random.Random(0))).__module__]
    headline, blank, formula, *_ = str(module.__doc__).splitlines()
    assert headline.startswith(f"`{name}`")
    assert not blank
    assert formula.startswith("    cost = ")
    assert re.search("Sources?:", str(module.__doc__))
    assert re.search("Dangers?:", inspect.getsource(module))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'fastest'") as refusal:
        build("fastest", random.Random(0))
    assert all(name in str(refusal.value) for name in POLICIES)


@every_policy
@settings(max_examples=40)
@given(situation=situations(), seed=st.integers(0, 99))
def test_selects_a_candidate_at_its_own_cost_for_a_listed_reason(
    name: str, situation: tuple[RequestFacts, list[Candidate]], seed: int
) -> None:
    request, candidates = situation
    policy: Any = build(name, random.Random(seed))
    for _ in range(3):
        costs = policy.costs(request, candidates)
        selection = policy.select(request, candidates)
        assert len(costs) == len(candidates)
        assert all(math.isfinite(cost) and cost >= 0 for cost in costs)
        assert selection.cost == costs[candidates.index(selection.candidate)]
        assert selection.reason in policy.reasons


@every_policy
@settings(max_examples=20)
@given(situation=situations(), seed=st.integers(0, 99))
def test_the_same_seed_selects_the_same_and_asking_for_costs_changes_nothing(
    name: str, situation: tuple[RequestFacts, list[Candidate]], seed: int
) -> None:
    request, candidates = situation
    asked, unasked = build(name, random.Random(seed)), build(name, random.Random(seed))
    for _ in range(3):
        assert asked.costs(request, candidates[::-1]) == asked.costs(request, candidates)[::-1]
        assert asked.select(request, candidates) == unasked.select(request, candidates)


@pytest.mark.parametrize("name", LOWEST_COST_WINS)
@settings(max_examples=20)
@given(situation=situations(), seed=st.integers(0, 99))
def test_the_lowest_cost_wins_in_both_orders(
    name: str, situation: tuple[RequestFacts, list[Candidate]], seed: int
) -> None:
    request, candidates = situation
    for ordered in (candidates, candidates[::-1]):
        policy = build(name, random.Random(seed))
        lowest_cost = min(policy.costs(request, ordered))
        assert policy.select(request, ordered).cost <= lowest_cost * (1 + NEAR_TIE)


@every_policy
def test_equal_workers_are_all_chosen_over_many_seeds(name: str) -> None:
    candidates = [a_worker(worker, in_flight=7, queued_tokens=300, held_tokens=50_000) for worker in "abcd"]
    chosen = {build(name, random.Random(seed)).select(a_request(prefix=b""), candidates)[0] for seed in range(200)}
    assert chosen == set(candidates)


@every_policy
def test_a_lone_worker_is_chosen(name: str) -> None:
    lone = a_worker("a", in_flight=400, waiting=90, kv_usage=1.0, held_tokens=900_000, queued_tokens=800_000)
    policy = build(name, random.Random(0))
    assert {policy.select(a_request(), [lone]).candidate for _ in range(5)} == {lone}


@every_policy
def test_a_route_without_a_prompt_is_served(name: str) -> None:
    candidates = [a_worker(worker, 0, in_flight=load) for worker, load in (("a", 9), ("b", 4), ("c", 30))]
    policy = build(name, random.Random(0))
    assert policy.select(a_request(0, b"", b""), candidates).candidate in candidates


@pytest.mark.parametrize("name", ["consistent_hash", "expected_ttft", "least_loaded", "lmetric", "prefix_threshold"])
def test_a_route_without_a_prompt_goes_to_the_fewest_requests(name: str) -> None:
    candidates = [a_worker(worker, 0, in_flight=load) for worker, load in (("a", 9), ("b", 4), ("c", 30))]
    for ordered in (candidates, candidates[::-1]):
        assert build(name, random.Random(0)).select(a_request(0, b"", b""), ordered).candidate.worker == "b"
