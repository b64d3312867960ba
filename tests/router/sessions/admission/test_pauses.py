"""Leases, by the distribution of the pauses."""

import math
import random

import pytest

from router.sessions.admission.pauses import EDGES_S, MEMORY, Pauses


def of(pauses_s: list[float], never: int = 0) -> Pauses:
    pauses = Pauses(0, math.inf)
    for _ in range(len(pauses_s) + never):
        pauses.began()
    for pause_s in pauses_s:
        pauses.returned(pause_s)
    return pauses


def test_short_pauses_are_kept_whole() -> None:
    pauses = of([1.0] * 95 + [2.0] * 5)
    assert 2.0 <= pauses.lease_s(60.0) <= 60.0
    share, kept_s = pauses.kept(2.0)
    assert share == 1.0
    assert kept_s == pytest.approx(1.05)


def test_a_long_tail_is_not_waited_for() -> None:
    assert of([1.0] * 90, never=10).lease_s(60.0) < 6.0
    assert of([1.0] * 80 + [300.0] * 20).lease_s(60.0) < 6.0


def test_the_next_pause_may_be_longer_than_those_that_are_known() -> None:
    assert 2.0 <= of([1.0] * 9, never=1).lease_s(20.0) < 4.0
    assert 8.0 <= of([1.0] * 20 + [4.0] * 20, never=4).lease_s(60.0) < 16.0
    assert of([1.0] * 400 + [4.0], never=40).lease_s(20.0) <= 2.0, "one in 440 is not waited for"


def test_nothing_is_kept_where_pauses_are_longer_than_what_is_lost() -> None:
    assert of([30.0] * 100).lease_s(20.0) == 0.0
    assert of([], never=100).lease_s(60.0) == 0.0
    assert Pauses(4, math.inf).lease_s(60.0) == 0.0
    assert Pauses(8, 2.0).lease_s(60.0) > 0.0


@pytest.mark.parametrize("tstar_s", [3.0, 20.0, 200.0])
def test_it_is_the_best_of_all_leases(tstar_s: float) -> None:
    rng = random.Random(1)
    drawn = [rng.lognormvariate(1.0, 1.5) for _ in range(300)]
    lease_s = of(drawn).lease_s(tstar_s)

    def gain(lease: float) -> float:
        kept = sum(min(pause, lease) for pause in drawn)
        return tstar_s * sum(pause <= lease for pause in drawn) - kept

    assert gain(lease_s) >= 0.9 * max(gain(edge) for edge in EDGES_S if edge <= tstar_s)


def test_what_was_long_ago_weighs_less() -> None:
    pauses = Pauses(0, math.inf)
    for pause_s in [1.0] * (10 * MEMORY) + [100.0] * (10 * MEMORY):
        pauses.began()
        pauses.returned(pause_s)
    assert pauses.mean_s > 95
    assert pauses.turns <= 2 * MEMORY
