"""Groups, states and restarts of the fleet."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from router.engines import EventPorts, Facts
from router.engines.engine import RankFacts
from router.fleet.cache_loss import CacheReport
from router.fleet.labels import Labels
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker, WorkerState
from router.fleet.worker_names import holder_name, worker_id
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


def report(start: str, cached: int, predicted: int = 5000) -> CacheReport:
    return CacheReport(start.encode(), 64, "", predicted, cached, 100)


def began(fleet: Fleet, worker: Worker) -> None:
    """Three conversations were computed there."""
    for start in "abc":
        fleet.reported(worker, report(start, 0, predicted=0))


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
        fleet.reported(worker, report(start, 0))
        assert not forgotten
    fleet.reported(worker, report("c", 0))
    assert forgotten == [before]
    assert worker.holder == before, "the index gives the name a fresh start"


@pytest.mark.parametrize(
    "short",
    [
        lambda fleet, worker: fleet.on_load(worker.id, a_load(waiting=3)),
        lambda fleet, worker: fleet.on_load(worker.id, a_load(running=9, kv_usage=1.0)),
        lambda fleet, worker: fleet.on_facts(worker.id, facts(kv_tokens=0)),
    ],
    ids=["requests wait", "no room", "unknown room"],
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
        fleet.reported(worker, report(start, 0))
    assert (forgotten, worker.cache_loss.misses_total) == ([], 9)


def test_what_others_sent_counts_as_written() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    fleet.on_load(worker.id, replace(a_load(), prefill_tokens_sum=20_000, generated_tokens_total=6_000))
    for start in "abc":
        fleet.reported(worker, report(start, 0))
    assert not forgotten, "26,000 of 100,000 tokens: more than a quarter"


def test_a_loss_that_another_router_noticed_is_not_counted_again() -> None:
    fleet = make_fleet(1)
    worker = next(iter(fleet.workers.values()))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    began(fleet, worker)
    for start in "ab":
        fleet.reported(worker, report(start, 0))
    fleet.forgotten_elsewhere("another")
    fleet.forgotten_elsewhere(worker.holder)
    fleet.reported(worker, report("c", 0))
    assert not forgotten


def test_times_of_prompts_set_the_rate_of_their_worker() -> None:
    fleet = make_fleet(2)
    worker, other = fleet.workers.values()
    for number in range(40):
        tokens = (500, 4000, 16_000)[number % 3]
        timed = report("a", 0)._replace(computed_tokens=tokens, alone_s=0.05 + tokens / 20_000)
        fleet.reported(worker, timed)
    assert worker.prefill_rate == pytest.approx(20_000, rel=0.1)
    assert other.prefill_rate == 8000
    fleet.on_load(other.id, a_load())
    assert other.prefill_rate == pytest.approx(20_000, rel=0.15), "one of its kind is so fast"


def with_ranks(count: int, generation: str = "1") -> Facts:
    """Of a server whose ranks have 10,000 KV tokens each, the next one 1,000 more."""
    ranks = tuple(RankFacts(10_000 + 1000 * rank, EventPorts(5557 + rank)) for rank in range(count))
    return replace(
        facts(generation=generation), ranks=ranks, kv_capacity_tokens=sum(r.kv_capacity_tokens for r in ranks)
    )


def test_each_rank_of_a_server_is_a_worker() -> None:
    fleet = make_fleet(1)
    (server,) = fleet.workers.values()
    assert server.rank_header == ()
    fleet.on_facts(server.id, with_ranks(3))
    ranks = list(fleet.workers.values())
    assert ranks == server.ranks
    assert [worker.id for worker in ranks] == [worker_id(server.url, rank) for rank in range(3)]
    assert len({worker.holder for worker in ranks}) == 3, "each has an index of its own"
    assert [worker.pool.capacity_tokens for worker in ranks] == [10_000, 11_000, 12_000]
    assert [worker.facts.events for worker in ranks if worker.facts] == [EventPorts(5557 + rank) for rank in range(3)]
    assert [worker.rank_header for worker in ranks] == [((b"x-data-parallel-rank", b"%d" % rank),) for rank in range(3)]
    assert {worker.name for worker in ranks} == {f"{server.url} rank {rank}" for rank in range(3)}
    group = fleet.group("m")
    assert group is not None
    assert group.workers == ranks
    assert all(worker.available() for worker in ranks), "new ranks of a healthy server are healthy"
    assert {worker.breaker for worker in ranks} == {server.breaker}


def test_load_is_the_ranks_own() -> None:
    fleet = make_fleet(1)
    (server,) = fleet.workers.values()
    fleet.on_facts(server.id, with_ranks(2))
    first, second = server.ranks
    fleet.on_load(server.id, replace(a_load(running=3, waiting=4), ranks=(a_load(running=3), a_load(waiting=4))))
    assert (first.gauges.waiting, second.gauges.waiting) == (0, 4)
    fleet.on_load(server.id, replace(a_load(waiting=9), ranks=(a_load(waiting=3),) * 3))
    fleet.on_load(server.id, a_load(waiting=9))
    assert (first.gauges.waiting, second.gauges.waiting) == (0, 4), "figures of another number of ranks fit none"


def test_what_concerns_the_server_concerns_all_of_its_ranks() -> None:
    fleet = make_fleet(2)
    server, other = fleet.workers.values()
    fleet.on_facts(server.id, with_ranks(3))
    fleet.on_unhealthy(server.id, "refused")
    assert {worker.state for worker in server.ranks} == {WorkerState.UNHEALTHY}
    fleet.on_healthy(server.id)
    assert {worker.state for worker in server.ranks} == {WorkerState.HEALTHY}
    last = server.ranks[2]
    assert fleet.drain(last.id) is server
    assert {worker.state for worker in server.ranks} == {WorkerState.DRAINING}
    fleet.drain(server.id, draining=False)
    assert {worker.state for worker in server.ranks} == {WorkerState.HEALTHY}
    assert fleet.label(last.id, Labels(role="r")) is server
    assert {worker.labels.role for worker in server.ranks} == {"r"}
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    assert fleet.remove(last.id) is server
    assert list(fleet.workers.values()) == [other]
    assert len(forgotten) == 3


def test_a_restart_empties_every_rank_and_may_change_their_number() -> None:
    fleet = make_fleet(1)
    (server,) = fleet.workers.values()
    fleet.on_facts(server.id, with_ranks(3))
    forgotten: list[str] = []
    fleet.on_forget.append(forgotten.append)
    holders = [worker.holder for worker in server.ranks]
    gone = server.ranks[2]
    fleet.on_facts(server.id, with_ranks(2, generation="2"))
    assert sorted(forgotten) == sorted(holders)
    assert list(fleet.workers.values()) == server.ranks != []
    assert [worker.restarts for worker in server.ranks] == [1, 1]
    assert gone.draining
    fleet.on_facts(server.id, facts(generation="3"))
    assert list(fleet.workers.values()) == [server]
    assert (server.rank_header, server.name) == ((), server.url)
    fleet.on_cleared(server.id)
    assert server.restarts == 2
