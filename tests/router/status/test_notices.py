"""What is amiss is said, each with what to do, the worst first, and nothing where all is well."""

from collections.abc import Callable

import pytest

from router.fleet.breaker import Fault
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.observe.metrics import Instruments
from router.sessions.admission.admission import SessionAdmission
from router.status.notices import BAD, MOST_NOTICES, Notice, Shared, notices
from tests.router.fleets import facts, make_fleet


def said(fleet: Fleet, instruments: Instruments | None = None, shared: Shared | None = None) -> list[Notice]:
    return notices(fleet.workers.values(), instruments or Instruments(), SessionAdmission(120.0), shared)


def only(fleet: Fleet) -> Worker:
    (worker,) = fleet.workers.values()
    return worker


def test_nothing_is_amiss_with_a_healthy_fleet() -> None:
    assert said(make_fleet(3), shared=Shared(True, False)) == []


def test_a_fleet_without_workers() -> None:
    (notice,) = said(make_fleet(0))
    assert (notice.level, notice.what) == (BAD, "There is no worker.")


def test_a_worker_that_cannot_be_reached_is_named_with_the_reason() -> None:
    fleet = make_fleet(1)
    fleet.on_unhealthy(only(fleet).id, "connection refused")
    whats = [notice.what for notice in said(fleet)]
    assert whats == ["No worker takes requests.", "http://w0:8000 gets no requests: connection refused."]


def breaks(fleet: Fleet) -> None:
    for _ in range(5):
        only(fleet).breaker.failure(Fault.RESET)


def without_cache(fleet: Fleet) -> None:
    only(fleet).pool = type(only(fleet).pool)(caches=False)


def without_size(fleet: Fleet) -> None:
    fleet.on_facts(only(fleet).id, facts(kv_tokens=0))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda fleet: fleet.drain(only(fleet).id), "http://w0:8000 is draining."),
        (breaks, "http://w0:8000 failed several requests in a row."),
        (without_cache, "http://w0:8000 keeps no prefixes."),
        (without_size, "http://w0:8000 does not say how large its KV memory is."),
    ],
)
def test_each_bad_state_of_a_worker_is_a_notice(change: Callable[[Fleet], object], what: str) -> None:
    fleet = make_fleet(1)
    change(fleet)
    assert what in [notice.what for notice in said(fleet)]


def test_redis_that_is_down_or_has_another_secret() -> None:
    whats = [notice.what for notice in said(make_fleet(1), shared=Shared(False, True))]
    assert whats == ["Another router uses another index_secret.", "Redis does not answer, or not in time."]


def test_answers_that_do_not_say_what_was_cached_and_hits_that_do_not_come() -> None:
    fleet, instruments = make_fleet(2), Instruments()
    silent, wrong = fleet.workers
    instruments.learn_skipped.add(30, (silent,))
    instruments.reported_prompt_tokens.add(100, (wrong,))
    instruments.predicted_cached_tokens.add(80, (wrong,))
    instruments.overpredicted_tokens.add(40, (wrong,))
    first, second = said(fleet, instruments)
    assert first.what == "Answers of http://w0:8000 do not say what was cached."
    assert second.what == "50% of the hits predicted at http://w1:8000 did not come."


def test_prompts_whose_tokens_are_not_the_engine_s() -> None:
    instruments = Instruments()
    instruments.prompts.add(30, ("text",))
    instruments.prompts.add(10, ("encoded",))
    instruments.token_mismatches.add(3, ("m",))
    first, second = said(make_fleet(1), instruments)
    assert first.what == "75% of the prompts are compared as text."
    assert second.what == "3 prompts had another length in the engine than here."


def test_there_are_not_more_than_forty_and_each_says_what_to_do() -> None:
    fleet = make_fleet(100)
    for worker_id in fleet.workers:
        fleet.on_unhealthy(worker_id, "line\nbreak " * 100)
    found = said(fleet)
    assert len(found) == MOST_NOTICES
    assert all(notice.do and "\n" not in notice.what and len(notice.what) < 400 for notice in found)
