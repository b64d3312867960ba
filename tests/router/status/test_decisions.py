"""The ring of decisions: filled while somebody watches, bounded, and told what became of each."""

from typing import Any
from unittest.mock import Mock

import pytest

from policies.api import Selection, candidate
from router.observe.record import RequestRecord
from router.routing.asked import Asked
from router.routing.decide import Decision
from router.status.decisions import KEPT, WATCHED_S, DecisionLog
from tests.router.fleets import make_worker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def decision_of(url: str = "http://a:1") -> Decision:
    workers = [make_worker(url, lambda: 0.0), make_worker("http://b:1", lambda: 0.0)]
    seen = [
        candidate(
            worker=worker.id,
            cached_tokens=64,
            uncached_tokens=36,
            queued_tokens=0,
            in_flight=0,
            held_tokens=0,
            waiting=0,
            kv_usage=0.0,
            kv_capacity_tokens=1000,
            prefill_rate=8000.0,
        )
        for worker in workers
    ]
    return Decision(workers[0], Selection(seen[0], "cached", 0.5), seen, workers)


def record_of(worker: str, **more: Any) -> RequestRecord:
    return RequestRecord(
        ended_ts=1.0, ended_at=3.0, request_id="x", method="POST", path="/", endpoint="/", status=200,
        outcome="ok", started_at=1.0, received_at=1.0, first_byte_at=1.5, worker=worker, **more,
    )  # fmt: skip


@pytest.fixture
def log() -> DecisionLog:
    """Somebody watches it."""
    log = DecisionLog(Clock())
    log.watch()
    return log


def asked() -> Asked:
    return Asked(group=Mock(), model="m")


def chooser(*costs: float) -> Any:
    return Mock(costs=Mock(return_value=list(costs)))


def test_nothing_is_kept_while_nobody_watches() -> None:
    clock = Clock()
    log = DecisionLog(clock)
    assert not log.watched
    assert log.watch() == []
    assert log.watched
    clock.now += WATCHED_S
    assert not log.watched


def test_the_chosen_candidate_has_the_price_that_was_compared(log: DecisionLog) -> None:
    log.note(object(), asked(), decision_of(), chooser(0.1, 0.7))
    (told,) = log.watch()
    assert [each["cost"] for each in told["candidates"]] == [0.5, 0.7]
    assert (told["reason"], told["predicted_cached_tokens"], told["cached_tokens"]) == ("cached", 64, None)


def test_the_newest_fifty_are_kept_and_come_first(log: DecisionLog) -> None:
    for number in range(KEPT + 5):
        log.note(object(), asked(), decision_of(f"http://n{number}:1"), chooser(0.0, 0.0))
    told = log.watch()
    assert len(told) == KEPT
    assert told[0]["worker"] == decision_of(f"http://n{KEPT + 4}:1").worker.id


def test_what_became_of_a_request_stands_beside_its_decisions(log: DecisionLog) -> None:
    request, first, second = object(), decision_of("http://first:1"), decision_of("http://second:1")
    log.note(request, asked(), first, chooser(0.0, 0.0))
    log.note(object(), asked(), first, chooser(0.0, 0.0))
    log.note(request, asked(), second, chooser(0.0, 0.0))
    log.finished(request, record_of(second.worker.id, cached_tokens=64, queued_s=0.25))
    told = log.watch()
    assert [each["outcome"] for each in told] == ["ok", "", "tried again"]
    assert (told[0]["cached_tokens"], told[0]["ttft_s"], told[0]["waited_s"]) == (64, 0.5, 0.25)


def test_they_are_forgotten_once_nobody_watches() -> None:
    clock = Clock()
    log, decision = DecisionLog(clock), decision_of()
    log.watch()
    log.note(object(), asked(), decision, chooser(0.5, 0.6))
    clock.now += WATCHED_S
    log.finished(object(), record_of(decision.worker.id))
    assert log.watch() == []
