"""Each alarm comes, is said once, and goes."""

import logging
from dataclasses import replace

import pytest

from router.fleet.hit_record import JUDGED
from router.fleet.worker import Worker
from router.kv_events.alarms import SILENT_S, SILENT_TOKENS, WORDS, Alarms, alarms_of
from router.kv_events.follower import HeardWorker
from tests.router.fleets import a_load, facts, make_fleet
from tests.router.kv_events.test_wire import SOURCE


def one() -> Worker:
    (worker,) = make_fleet(1).workers.values()
    return worker


def test_nothing_is_wrong() -> None:
    worker = one()
    assert alarms_of(worker, None, 0.0) == alarms_of(worker, HeardWorker(worker, SOURCE), 0.0) == frozenset()


def test_a_cache_that_is_off() -> None:
    fleet = make_fleet(1)
    (worker,) = fleet.workers.values()
    fleet.on_facts(worker.id, replace(facts(), prefix_caching=False))
    assert alarms_of(worker, None, 0.0) == {"caching_off"}


def test_hits_that_never_come() -> None:
    worker = one()
    for _ in range(JUDGED):
        worker.hits.reported(5000, 0)
    assert alarms_of(worker, None, 0.0) == {"no_hits"}


def test_events_that_do_not_fit() -> None:
    heard = HeardWorker(one(), SOURCE)
    heard.counts["block_size"] += 1
    assert alarms_of(heard.worker, heard, 0.0) == {"block_size"}


def test_events_that_stop_while_prompts_are_computed() -> None:
    worker = one()
    heard = HeardWorker(worker, SOURCE, heard_at=10.0, computed_then=1000)
    worker.load = replace(a_load(), prefill_tokens_sum=1000 + SILENT_TOKENS)
    assert alarms_of(worker, heard, 10.0 + SILENT_S) == frozenset()
    assert alarms_of(worker, heard, 10.1 + SILENT_S) == {"events_stopped"}
    worker.load = replace(a_load(), prefill_tokens_sum=999 + SILENT_TOKENS)
    assert alarms_of(worker, heard, 10.1 + SILENT_S) == frozenset()


def test_each_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    worker = one()
    alarms = Alarms(lambda: {worker.id: worker}, {})
    for _ in range(JUDGED):
        worker.hits.reported(5000, 0)
    with caplog.at_level(logging.INFO, "warmroute"):
        alarms.look()
        alarms.look()
        assert worker.alarms == {"no_hits"}
        worker.hits.clear()
        alarms.look()
        alarms.look()
    said = [record.getMessage() for record in caplog.records if WORDS["no_hits"] in record.getMessage()]
    assert [("no longer" in line) for line in said] == [False, True]
    assert worker.alarms == frozenset()
