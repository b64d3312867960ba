"""One line a request, in order, bounded, and never on the event loop."""

import io
import json

from router.observe.access_log import MAX_WAITING_LINES, AccessLine, AccessLog


def line(number: int) -> AccessLine:
    return AccessLine(
        ts=1.0, request_id=str(number), method="POST", path="/v1/x", status=200, outcome="ok", duration_ms=1.5
    )


def test_lines_are_json_and_in_order() -> None:
    out = io.BytesIO()
    log = AccessLog(out)
    for number in range(3):
        log.write(line(number))
    assert out.getvalue() == b""
    log.flush()
    assert [json.loads(text)["request_id"] for text in out.getvalue().splitlines()] == ["0", "1", "2"]


def test_what_cannot_be_written_is_dropped_and_counted() -> None:
    log = AccessLog(io.BytesIO())
    for number in range(MAX_WAITING_LINES + 5):
        log.write(line(number))
    assert log.dropped == 5


def test_switched_off() -> None:
    log = AccessLog(None)
    log.write(line(1))
    log.flush()
    assert not log.enabled
