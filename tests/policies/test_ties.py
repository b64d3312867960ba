"""One winner, ties and near ties, over many seeds."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.ties import EXACT, NEAR_TIE, lowest

COSTS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


class NeverDraws(random.Random):
    def random(self) -> float:
        raise AssertionError("drew a random number without a tie")


@pytest.mark.parametrize("costs", [[3.0], [7.0, 2.0, 5.0], [2.0, 5.0, 7.0], [7.0, 5.0, 2.0], [40, 37, 41], [0.0, 0.1]])
def test_a_single_winner_is_taken_without_a_draw(costs: list[float]) -> None:
    assert costs[lowest(costs, NeverDraws())] == min(costs)


@pytest.mark.parametrize(
    "costs", [[5.0, 9.0, 5.0, 5.0], [0, 3, 0, 0], [5.0, 9.0, 5.01, 5.02], [-5.0, 2.0, -5.0, -4.99]]
)
def test_equal_and_nearly_equal_costs_are_drawn_evenly(costs: list[float]) -> None:
    drawn = Counter(lowest(costs, random.Random(seed)) for seed in range(3000))
    assert set(drawn) == {0, 2, 3}
    assert all(850 < count < 1150 for count in drawn.values())


def test_one_generator_draws_evenly_too() -> None:
    rng = random.Random(5)
    drawn = Counter(lowest([1.0, 1.0], rng) for _ in range(2000))
    assert 900 < drawn[0] < 1100


def test_beyond_the_margin_is_no_tie() -> None:
    beyond = 100.0 * (1.0 + 2 * NEAR_TIE)
    assert {lowest([beyond, 100.0], random.Random(seed)) for seed in range(100)} == {1}
    assert {lowest([100.0, beyond], random.Random(seed)) for seed in range(100)} == {0}


def test_exact_margin_ties_equal_costs_only() -> None:
    assert {lowest([100.0, 100.0001], random.Random(seed), EXACT) for seed in range(100)} == {0}
    assert {lowest([100.0, 100.0], random.Random(seed), EXACT) for seed in range(100)} == {0, 1}


@given(costs=COSTS, seed=st.integers(0, 9), margin=st.sampled_from([EXACT, NEAR_TIE, 0.5]))
def test_the_choice_is_within_the_margin_and_repeatable(costs: list[float], seed: int, margin: float) -> None:
    index = lowest(costs, random.Random(seed), margin)
    assert costs[index] <= min(costs) + abs(min(costs)) * margin
    assert index == lowest(costs, random.Random(seed), margin)
