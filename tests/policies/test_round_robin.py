"""Rounds stay fair when workers come, go and alternate."""

import random
from collections import Counter

from policies.round_robin import REMEMBERED_WORKERS, RoundRobin
from tests.policies.candidates import a_request, a_worker

WORKERS = [a_worker(worker, in_flight=load) for worker, load in (("a", 3), ("b", 90), ("c", 0), ("d", 17))]


def test_every_round_serves_every_worker_in_the_same_order() -> None:
    policy = RoundRobin(random.Random(4))
    rounds = [[policy.select(a_request(), WORKERS).candidate.worker for _ in WORKERS] for _ in range(50)]
    assert sorted(rounds[0]) == ["a", "b", "c", "d"]
    assert all(later == rounds[0] for later in rounds)


def test_routers_do_not_march_in_step() -> None:
    first = {RoundRobin(random.Random(seed)).select(a_request(), WORKERS).candidate.worker for seed in range(100)}
    assert first == {"a", "b", "c", "d"}


def test_order_of_the_candidates_does_not_matter() -> None:
    policy = RoundRobin(random.Random(0))
    shuffle = random.Random(1)
    served = Counter(
        policy.select(a_request(), shuffle.sample(WORKERS, len(WORKERS))).candidate.worker for _ in range(400)
    )
    assert set(served.values()) == {100}


def test_two_models_that_alternate_still_use_all_their_workers() -> None:
    policy = RoundRobin(random.Random(0))
    served = Counter(
        policy.select(a_request(), WORKERS[:2] if turn % 2 else WORKERS[2:]).candidate.worker for turn in range(400)
    )
    assert set(served.values()) == {100}


def test_a_worker_that_leaves_gets_nothing_and_one_that_joins_gets_its_turn_not_a_flood() -> None:
    policy = RoundRobin(random.Random(0))
    without_c = [worker for worker in WORKERS if worker.worker != "c"]
    served = [policy.select(a_request(), without_c).candidate.worker for _ in range(30)]
    assert Counter(served) == {"a": 10, "b": 10, "d": 10}
    after = [policy.select(a_request(), WORKERS).candidate.worker for _ in range(40)]
    assert set(Counter(after).values()) == {10}


def test_workers_that_came_and_went_are_forgotten() -> None:
    policy = RoundRobin(random.Random(0))
    for number in range(3 * REMEMBERED_WORKERS):
        policy.select(a_request(), [a_worker(f"gone{number}")])
    assert len(policy._last_turn) <= REMEMBERED_WORKERS
    assert sorted(policy.select(a_request(), WORKERS).candidate.worker for _ in WORKERS) == ["a", "b", "c", "d"]
