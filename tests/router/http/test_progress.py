"""A request's record is made of how far it has come."""

from router.clients import Client, ClientSpec
from router.engines.usage import Usage
from router.http.lessons import Lesson
from router.http.progress import Progress
from router.routing.asked import Asked
from router.routing.choose import Choice
from tests.router.clients.clock import Clock
from tests.router.fleets import MODEL, make_fleet
from tests.router.wire.test_exchange import exchange


def test_of_a_request_that_was_refused_at_once_little_is_known() -> None:
    one = exchange(path="/made/up")
    one.status = 404
    record = Progress().record(one, "refused")
    assert (record.outcome, record.status, record.path, record.endpoint) == ("refused", 404, "/made/up", "other")
    assert (record.model, record.client, record.worker, record.attempts, record.source) == ("", "", "", 0, "")
    assert (record.cached_tokens, record.completion_tokens, record.answered) == (None, None, False)
    assert record.started_at <= record.ended_at


def test_of_one_that_was_answered_every_step_is() -> None:
    fleet = make_fleet(1)
    group = fleet.groups[MODEL]
    (worker,) = group.workers
    one = exchange()
    one.status, one.received_at, one.request_id = 200, 2.0, "id"
    one.client = Client(ClientSpec(label="team", hash=""), bytes(16), Clock())
    progress = Progress()
    progress.asked = Asked(group=group, model="m", stream=True)
    progress.choice = Choice(worker, "cached", "f", 3, cached_tokens=64)
    progress.attempts, progress.queued_s, progress.dispatched_at, progress.first_byte_at = 2, 0.5, 3.0, 4.0
    progress.lesson = Lesson(Usage(prompt_tokens=100, cached_tokens=80, completion_tokens=5), 100)
    record = progress.record(one, "ok")
    assert (record.outcome, record.request_id, record.model, record.client) == ("ok", "id", "m", "team")
    assert (record.worker, record.reason, record.candidates, record.attempts) == (worker.id, "cached", 3, 2)
    assert (record.overhead_s, record.ttft_s, record.stream) == (0.5, 2.0, True)
    assert (record.predicted_cached_tokens, record.cached_tokens, record.completion_tokens) == (64, 80, 5)
    assert record.prompt_tokens == 100


def test_an_error_of_the_worker_s_own_is_told_by_its_class() -> None:
    one = exchange()
    outcomes = []
    for one.status in (200, 399, 400, 503):
        outcomes.append(Progress().record(one, "ok").outcome)
    assert outcomes == ["ok", "ok", "status_4xx", "status_5xx"]
    assert Progress().record(one, "worker_failed").outcome == "worker_failed"
