"""What a finished request says of itself, and what is counted of it."""

from router.observe.metrics import Instruments
from router.observe.record import RequestRecord


def record(**changes: object) -> RequestRecord:
    known = {
        "ended_ts": 1.0,
        "ended_at": 14.0,
        "request_id": "r",
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": "chat",
        "status": 200,
        "outcome": "ok",
        "started_at": 10.0,
        "model": "m",
        "worker": "w",
        "client": "c",
    }
    return RequestRecord(**(known | changes))  # type: ignore[arg-type]


DISPATCHED = {"received_at": 10.5, "queued_s": 1.0, "dispatched_at": 12.0, "first_byte_at": 13.0}


def test_times_are_differences_of_moments() -> None:
    found = record(**DISPATCHED)
    assert (found.duration_s, found.overhead_s, found.ttft_s) == (4.0, 0.5, 2.5)


def test_what_did_not_happen_took_no_time() -> None:
    found = record(received_at=10.5)
    assert (found.overhead_s, found.ttft_s, found.answered) == (0.0, 0.0, False)


def test_an_error_of_a_worker_is_no_answer() -> None:
    assert record(**DISPATCHED).answered
    assert not record(**DISPATCHED, status=400).answered


def test_metrics_count_a_finished_request_once() -> None:
    instruments = Instruments()
    instruments.finished(record(**DISPATCHED))
    instruments.finished(record(outcome="refused", status=400, worker=""))
    assert instruments.requests.values == {("m", "w", "chat", "ok"): 1, ("m", "", "chat", "refused"): 1}
    assert instruments.client_requests.values == {("c", "ok"): 1, ("c", "refused"): 1}
    counts = {
        sample.name: sample.value
        for histogram in (instruments.duration, instruments.overhead, instruments.ttft)
        for family in histogram.collect()
        for sample in family.samples
        if sample.name.endswith("_count")
    }
    assert counts == {
        "warmroute_request_duration_seconds_count": 2,
        "warmroute_overhead_seconds_count": 1,
        "warmroute_ttft_seconds_count": 1,
    }
