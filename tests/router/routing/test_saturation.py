"""The wait at a worker in seconds, by each thing that can make one wait."""

import random
from typing import Any

import pytest

from policies.api import Selection
from policies.expected_ttft import ExpectedTtft
from policies.memory_wait import memory_wait_s
from router.fleet.lateness import Lateness
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.routing.decide import Decision
from router.routing.saturation import FRESH_S, FRESH_WORKER_S, FreeWorkers, saturated, wait_s
from tests.policies.candidates import a_request, a_worker
from tests.router.fleets import make_worker

IDLE = a_worker("w", 1000, kv_capacity_tokens=100_000, prefill_rate=10_000.0)


def of(**changes: Any) -> float:
    return wait_s(IDLE._replace(**changes), Lateness(lambda: 0.0), 0.0)


def test_an_idle_worker_makes_nobody_wait() -> None:
    assert of() == 0
    assert of(uncached_tokens=10_000_000, kv_capacity_tokens=0) == 0


def test_memory_is_not_waited_for_where_it_can_never_suffice() -> None:
    assert of(uncached_tokens=100_001) == 0
    assert of(uncached_tokens=100_001, held_tokens=99_000, stay_s=60.0) == 0
    assert of(uncached_tokens=100_000, held_tokens=99_000, stay_s=60.0) > 59
    assert of(uncached_tokens=100_001, queued_tokens=20_000) == 2, "what is before it is waited for all the same"


def test_prefill_ahead_and_lateness_add_up() -> None:
    late = Lateness(lambda: 0.0)
    late.dispatched("a", 5.0)
    assert of(queued_tokens=20_000) == 2
    assert wait_s(IDLE._replace(queued_tokens=20_000), late, 6.0) == 3


def test_what_the_engine_says_waits() -> None:
    assert of(waiting=50) == pytest.approx(4.0)
    assert of(waiting=50, queued_tokens=60_000) == 6, "the same queue is not counted twice"


def test_memory_is_waited_for_as_the_policy_prices_it() -> None:
    short = IDLE._replace(held_tokens=149_000, stay_s=8.0, unique_share=0.9)
    assert of(**short._asdict()) == memory_wait_s(short, 1000) == pytest.approx(8.0 * 0.351)
    priced, roomy = ExpectedTtft(random.Random(0)).costs(a_request(1000), [short, short._replace(stay_s=0.0)])
    assert priced - roomy == pytest.approx(of(**short._asdict()))


def test_memory_keeps_nobody_waiting_where_prompts_share_it() -> None:
    assert of(held_tokens=99_000) == 0, "fits exactly"
    assert of(held_tokens=119_000) == pytest.approx(1.0), "a fifth of the pool is missing: a fifth of a stay"
    assert of(held_tokens=119_000, unique_share=0.5) == 0


def decision(*queued: int, chosen: int) -> Decision:
    candidates = [IDLE._replace(worker=str(n), queued_tokens=tokens) for n, tokens in enumerate(queued)]
    workers: list[Worker] = [make_worker(f"http://w{n}:1") for n in range(len(queued))]
    return Decision(workers[chosen], Selection(candidates[chosen], "cached", 0.0), candidates, workers)


def test_saturated_only_when_all_are() -> None:
    assert not saturated(decision(19_000, 90_000, chosen=0), 2.0, 0.0)
    assert not saturated(decision(90_000, 19_000, chosen=0), 2.0, 0.0), "waiting for its prefix was the policy's choice"
    assert saturated(decision(90_000, 21_000, chosen=1), 2.0, 0.0)
    assert not saturated(decision(90_000, 21_000, chosen=1), 3.0, 0.0)


def test_free_workers_are_found_once_for_all_that_wait() -> None:
    now = 0.0
    one, two = make_worker("one"), make_worker("two")
    free = FreeWorkers(1.0, lambda: now)
    assert list(free.of("m", [one, two])) == [one, two]
    with Lease(one, 90_000, 90_000):
        assert list(free.of("m", [one, two])) == [one, two], "as found a moment ago"
        assert list(free.of("n", [one])) == []
        now += FRESH_S
        assert list(free.of("m", [one, two])) == [two]
        assert list(FreeWorkers(0.0, lambda: now).of("m", [one, two])) == [one, two], "no bound"
    free.taken(two)
    assert list(free.of("m", [one, two])) == [], "a request has gone to the other one"
    now += FRESH_S
    assert list(free.of("m", [one, two])) == [one, two]


def test_the_free_of_a_large_fleet_are_found_less_often() -> None:
    now = 0.0
    workers = [make_worker(f"w{number}") for number in range(1000)]
    free = FreeWorkers(1.0, lambda: now)
    assert len(free.of("m", workers)) == 1000
    with Lease(workers[0], 90_000, 90_000):
        now += FRESH_S
        assert len(free.of("m", workers)) == 1000
        now += 1000 * FRESH_WORKER_S
        assert len(free.of("m", workers)) == 999
