"""How much memory prompts in flight take of their own, learned from the engine's gauge."""

import pytest

from router.fleet.lease import Lease
from router.fleet.unique_share import UniqueShare
from tests.router.fleets import a_load, facts, make_fleet


def test_all_is_its_own_until_it_is_measured() -> None:
    share = UniqueShare()
    assert share.value == 1
    share.learn(0, 50_000.0)
    share.learn(50_000, 0.0)
    assert share.value == 1, "nothing is in flight, or the engine does not say"


def test_prompts_that_share_blocks_are_found_to() -> None:
    share = UniqueShare()
    for _ in range(100):
        share.learn(400_000, 100_000.0)
    assert share.value == pytest.approx(0.25)
    for _ in range(100):
        share.learn(100_000, 120_000.0)  # answers take memory too
    assert share.value == 1


def test_a_busy_look_says_more_than_an_idle_one() -> None:
    share = UniqueShare()
    share.learn(1_000, 1_000.0)
    share.learn(99_000, 33_000.0)
    assert share.value == pytest.approx(0.34, abs=0.01)


def test_it_is_learned_at_scrapes_while_nothing_waits() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    fleet.on_facts(worker.id, facts(kv_tokens=100_000))
    with Lease(worker, 30_000, 5_000), Lease(worker, 30_000, 5_000):
        fleet.on_load(worker.id, a_load(kv_usage=0.1, waiting=2))
        assert worker.unique_share.value == 1, "those that wait hold nothing yet"
        fleet.on_load(worker.id, a_load(kv_usage=0.25))
        assert worker.unique_share.value == pytest.approx(25_000 / 50_000)
