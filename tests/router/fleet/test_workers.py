"""Groups, states and restarts of the fleet."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from router.fleet.cache_loss import CacheReport
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker, WorkerState
from router.fleet.worker_names import holder_name
from router.fleet.workers import DuplicateWorkerError, Fleet, UnknownWorkerError
from tests.router.fleets import a_load, facts, make_fleet, make_worker


def test_groups_follow_what_workers_serve() -> None:
    fleet = Fleet(make_worker, lambda later: None, PrefillRates(8000.0))
    both = fleet.add("http://a:1/")
    one = fleet.add("http://b:1")
    fleet.on_facts(both.id, facts("base", "adapter"))
    fleet.on_facts(one.id, facts("base"))
    assert {name: len(group.workers) for name, group in fleet.groups.items()} == {"base": 2, "adapter": 1}
    fleet.on_facts(both.id, facts("base"))
    assert set(fleet.groups) == {"base"}
    fleet.remove(both.id)
    assert fleet.groups["base"].workers == [one]
    assert fleet.group("adapter") is None


def test_states() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    assert worker.available()
    fleet.on_unhealthy(worker.id, "refused")
    assert (worker.state, worker.available(), worker.reason) == (WorkerState.UNHEALTHY, False, "refused")
    fleet.on_healthy(worker.id)
    fleet.drain(worker.id)
    fleet.on_healthy(worker.id)
    assert worker.state.value == "draining", "a good probe must not end draining"
    fleet.drain(worker.id, draining=False)
    assert worker.state.value == "healthy"


def test_only_healthy_workers_are_in_the_load_order() -> None:
    fleet = make_fleet(3, "m")
    first, second, third = fleet.workers.values()
    fleet.on_unhealthy(second.id, "x")
    assert set(fleet.groups["m"].order.lowest(10)) == {first, third}
    assert set(fleet.everyone.order.lowest(10)) == {first, third}


def test_another_generation_is_a_restart() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    before = worker.holder
    fleet.on_facts(worker.id, facts(generation="1"))
    assert not forgotten
    assert worker.holder == holder_name(worker.id, "1") == before
    fleet.on_facts(worker.id, facts(generation="2"))
    assert forgotten == [before]
    assert worker.holder != before
    assert fleet.groups["m"].by_holder == {worker.holder: worker}
    assert worker.restarts == 1


def test_a_worker_is_there_once_and_ids_tell_no_address() -> None:
    fleet = Fleet(make_worker, lambda later: None, PrefillRates(8000.0))
    worker = fleet.add("http://secret-host:8000")
    assert "secret" not in worker.id
    with pytest.raises(DuplicateWorkerError):
        fleet.add("http://secret-host:8000/")
    with pytest.raises(UnknownWorkerError):
        fleet.remove("w-0")


def test_news_of_removed_workers_are_ignored() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    fleet.remove(worker.id)
    fleet.on_facts(worker.id, facts())
    fleet.on_healthy(worker.id)
    fleet.on_restart(worker.id)
    assert not fleet.groups
    assert not worker.available()


def test_many_changes_cost_one_rebuild() -> None:
    rebuilt: list[int] = []
    deferred: list[object] = []
    fleet = Fleet(make_worker, deferred.append, PrefillRates(8000.0))
    fleet.on_groups.append(lambda: rebuilt.append(1))
    for number in range(100):
        worker = fleet.add(f"http://w{number}:1")
        fleet.on_facts(worker.id, facts())
        fleet.on_healthy(worker.id)
    assert len(fleet.groups["m"].workers) == 100
    assert rebuilt == [1]
    assert len(deferred) == 1


@pytest.mark.parametrize(
    ("running", "waiting", "ours", "strangers"), [(3, 2, 5, 0), (3, 2, 4, 1), (3, 2, 0, 2), (3, 2, 9, 0), (8, 0, 1, 0)]
)
def test_who_waits_in_the_engine_and_was_sent_by_no_router(
    running: int, waiting: int, ours: int, strangers: int
) -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    for _ in range(ours):
        worker.count_in_flight(1)
    fleet.on_load(worker.id, a_load(running=running, waiting=waiting))
    assert (worker.gauges.waiting, worker.gauges.strangers) == (waiting, strangers)


def turn(start: str, cached: int, predicted: int = 5000) -> CacheReport:
    return CacheReport(start.encode(), 64, "", predicted, cached, 100)


def began(fleet: Fleet, worker: Worker) -> None:
    """Three conversations were computed there."""
    for start in "abc":
        fleet.reported(worker, turn(start, 0, predicted=0))


def test_a_worker_that_keeps_less_than_it_says_is_told_of() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    told: list[int] = []
    fleet.on_belief.append(lambda which: told.append(which.pool.kept_tokens))
    chain, room = bytes(range(8)) * 40, worker.room_tokens()
    for predicted, cached in ((0, 0), (2560, 64)):
        fleet.reported(worker, CacheReport(chain[:8], 64, "", predicted, cached, 0, chain))
    lacking = min(2560 - 64, worker.pool.capacity_tokens // 16)
    assert told == [worker.pool.capacity_tokens - lacking]
    assert worker.room_tokens() == room - lacking
    fleet.on_facts(worker.id, replace(facts(), kv_capacity_tokens=12_800))
    assert worker.pool.kept_tokens == 12_800


def test_a_cache_lost_without_a_restart_is_forgotten() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    before = worker.holder
    for start in "ab":
        fleet.reported(worker, turn(start, 0))
        assert not forgotten
    fleet.reported(worker, turn("c", 0))
    assert forgotten == [before]
    assert worker.holder == before, "the index gives the name a fresh start"


@pytest.mark.parametrize(
    "short",
    [
        lambda fleet, worker: fleet.on_load(worker.id, a_load(waiting=3)),
        lambda fleet, worker: fleet.on_load(worker.id, a_load(running=9, kv_usage=1.0)),
        lambda fleet, worker: fleet.on_facts(worker.id, facts(kv_tokens=0)),
        lambda fleet, worker: fleet.on_facts(worker.id, replace(facts(), dp_size=2)),
    ],
    ids=["requests wait", "no room", "unknown room", "a pool for each rank"],
)
def test_misses_of_an_engine_that_may_have_evicted_are_no_sign_of_a_lost_cache(
    short: Callable[[Fleet, Worker], None],
) -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    short(fleet, worker)
    for start in "abcabcabc":
        fleet.reported(worker, turn(start, 0))
    assert (forgotten, worker.cache_loss.misses_total) == ([], 9)


def test_what_others_sent_counts_as_written() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    fleet.on_load(worker.id, replace(a_load(), prefill_tokens_sum=20_000, generated_tokens_total=6_000))
    for start in "abc":
        fleet.reported(worker, turn(start, 0))
    assert not forgotten, "26,000 of 100,000 tokens: more than a quarter"


def test_a_loss_that_another_router_noticed_is_not_counted_again() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    for start in "ab":
        fleet.reported(worker, turn(start, 0))
    fleet.forgotten_elsewhere("another")
    fleet.forgotten_elsewhere(worker.holder)
    fleet.reported(worker, turn("c", 0))
    assert not forgotten
