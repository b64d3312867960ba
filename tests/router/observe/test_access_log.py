"""One line a request, in order, bounded, and never on the event loop."""

import io
import json

from msgspec.structs import replace

from router.observe.access_log import MAX_WAITING_LINES, AccessLog
from router.observe.record import RequestRecord


def record(number: int) -> RequestRecord:
    return RequestRecord(
        ended_ts=1.0,
        ended_at=103.5,
        request_id=str(number),
        method="POST",
        path="/v1/x",
        endpoint="x",
        status=200,
        outcome="ok",
        started_at=100.0,
        received_at=100.5,
        queued_s=1.0,
        queued_for="memory",
        dispatched_at=101.75,
        first_byte_at=103.0,
    )


def test_a_line_tells_times_in_milliseconds_and_leaves_out_what_is_not_known() -> None:
    out = io.BytesIO()
    log = AccessLog(out)
    log.write(record(7))
    log.flush()
    assert json.loads(out.getvalue()) == {
        "ts": 1.0,
        "request_id": "7",
        "method": "POST",
        "path": "/v1/x",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 3500.0,
        "overhead_ms": 250.0,
        "queued_ms": 1000.0,
        "queued_for": "memory",
        "ttft_ms": 2500.0,
    }


def test_a_long_path_is_cut() -> None:
    out = io.BytesIO()
    log = AccessLog(out)
    log.write(replace(record(1), path="/" + "x" * 60_000))
    log.flush()
    assert len(out.getvalue()) < 1000
    assert json.loads(out.getvalue())["path"].startswith("/xxx")


def test_lines_are_json_and_in_order() -> None:
    out = io.BytesIO()
    log = AccessLog(out)
    for number in range(3):
        log.write(record(number))
    assert out.getvalue() == b""
    log.flush()
    assert [json.loads(text)["request_id"] for text in out.getvalue().splitlines()] == ["0", "1", "2"]


def test_what_cannot_be_written_is_dropped_and_counted() -> None:
    log = AccessLog(io.BytesIO())
    for number in range(MAX_WAITING_LINES + 5):
        log.write(record(number))
    assert log.dropped == 5


def test_a_log_that_is_off_writes_nothing() -> None:
    log = AccessLog(None)
    log.write(record(1))
    log.flush()
    assert not log.enabled
