"""The wait at a worker in seconds, by each thing that can make one wait."""

from typing import Any

import pytest

from policies.api import Selection
from router.fleet.lateness import Punctuality
from router.fleet.worker import Worker
from router.routing.decide import Decision
from router.routing.saturation import saturated, wait_s
from tests.policies.candidates import a_worker
from tests.router.fleets import make_worker

IDLE = a_worker("w", 1000, kv_capacity_tokens=100_000, prefill_rate=10_000.0)


def of(**changes: Any) -> float:
    return wait_s(IDLE._replace(**changes), Punctuality(lambda: 0.0), 0.0)


def test_an_idle_worker_makes_nobody_wait() -> None:
    assert of() == 0
    assert of(uncached_tokens=10_000_000, kv_capacity_tokens=0) == 0
    assert of(uncached_tokens=200_000) == 0, "what can never fit is not the router's to judge"


def test_prefill_ahead_and_lateness_add_up() -> None:
    late = Punctuality(lambda: 0.0)
    late.dispatched("a", 5.0)
    assert of(queued_tokens=20_000) == 2
    assert wait_s(IDLE._replace(queued_tokens=20_000), late, 6.0) == 3


def test_what_the_engine_says_waits() -> None:
    assert of(waiting=50) == pytest.approx(4.0)
    assert of(waiting=50, queued_tokens=60_000) == 6, "the same queue is not counted twice"


@pytest.mark.parametrize(
    ("held", "usage", "expected"),
    [
        (99_000, 0.0, 0.0),  # fits exactly
        (119_000, 0.0, 1.0),  # a fifth of the pool is missing: a fifth of a stay
        (119_000, 0.5, 0.0),  # the engine has room: the prompts share blocks
        (119_000, 0.95, 1.0),
        (50_000, 1.0, 0.05),  # answers, or other clients, fill the pool
    ],
)
def test_memory(held: int, usage: float, expected: float) -> None:
    assert of(held_tokens=held, kv_usage=usage) == pytest.approx(expected)


def decision(*queued: int, chosen: int) -> Decision:
    candidates = [IDLE._replace(worker=str(n), queued_tokens=tokens) for n, tokens in enumerate(queued)]
    workers: list[Worker] = [make_worker(f"http://w{n}:1") for n in range(len(queued))]
    return Decision(workers[chosen], Selection(candidates[chosen], "cached", 0.0), candidates, workers)


def test_saturated_only_when_all_are() -> None:
    assert not saturated(decision(19_000, 90_000, chosen=0), 2.0, 0.0)
    assert not saturated(decision(90_000, 19_000, chosen=0), 2.0, 0.0), "waiting for its prefix was the policy's choice"
    assert saturated(decision(90_000, 21_000, chosen=1), 2.0, 0.0)
    assert not saturated(decision(90_000, 21_000, chosen=1), 3.0, 0.0)
