"""Answers as they stand on the wire."""

from types import SimpleNamespace
from typing import Any

import pytest

from router.wire.writing import MAX_JOINED_BYTES, opening, write_body, write_chunk


class Wire:
    """A transport that keeps what is written, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.written.append(b"".join(pieces))

    def close(self) -> None:
        self.closed = True


def cycle_of(method: str = "POST", keep_alive: bool = True) -> Any:
    ends: list[str] = []
    return SimpleNamespace(
        scope={"method": method, "http_version": "1.1"},
        transport=Wire(),
        flow=SimpleNamespace(write_paused=False),
        message_event=SimpleNamespace(set=lambda: ends.append("event")),
        on_response=lambda: ends.append("response"),
        ends=ends,
        keep_alive=keep_alive,
        disconnected=False,
        chunked_encoding=None,
        expected_content_length=0,
        response_started=False,
        response_complete=False,
        waiting_for_100_continue=True,
    )


def test_a_short_answer_is_one_write() -> None:
    cycle = cycle_of()
    head = opening(cycle, 200, [(b"content-length", b"2")])
    assert (cycle.response_started, cycle.waiting_for_100_continue, cycle.transport.written) == (True, False, [])
    write_body(cycle, head, b"{}", more=False)
    assert cycle.transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]
    assert (cycle.response_complete, cycle.ends, cycle.transport.closed) == (True, ["event", "response"], False)


def test_a_stream_is_chunked_and_its_end_goes_with_the_last_chunk() -> None:
    cycle = cycle_of(keep_alive=False)
    write_body(cycle, opening(cycle, 200, [(b"x", b"y")]), b"one", more=True)
    assert write_chunk(cycle, b"two")
    write_body(cycle, b"", b"three", more=False)
    assert cycle.transport.written == [
        b"HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"3\r\ntwo\r\n",
        b"5\r\nthree\r\n0\r\n\r\n",
    ]
    assert cycle.transport.closed


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_is_its_head(method: str, status: int) -> None:
    cycle = cycle_of(method)
    headers = [(b"content-length", b"9")] if method == "HEAD" else []
    write_body(cycle, opening(cycle, status, headers), b"", more=False)
    (written,) = cycle.transport.written
    assert written.endswith(b"\r\n\r\n")
    assert b"chunked" not in written
    assert cycle.response_complete


@pytest.mark.parametrize(("body", "more"), [(b"abc", False), (b"abc", True), (b"a", False)])
def test_an_answer_of_another_length_than_it_said_is_a_fault(body: bytes, more: bool) -> None:
    cycle = cycle_of()
    with pytest.raises(RuntimeError):
        write_body(cycle, opening(cycle, 200, [(b"content-length", b"2")]), body, more)


def test_large_pieces_are_written_too() -> None:
    cycle = cycle_of()
    large = b"x" * (MAX_JOINED_BYTES + 1)
    write_body(cycle, opening(cycle, 200, []), large, more=True)
    assert b"".join(cycle.transport.written).endswith(b"\r\n\r\n10001\r\n" + large + b"\r\n")


@pytest.mark.parametrize("why", ["disconnected", "paused", "fixed length", "empty"])
def test_a_chunk_that_needs_more_care_is_refused(why: str) -> None:
    cycle = cycle_of()
    opening(cycle, 200, [(b"content-length", b"9")] if why == "fixed length" else [])
    cycle.disconnected = why == "disconnected"
    cycle.flow.write_paused = why == "paused"
    assert not write_chunk(cycle, b"" if why == "empty" else b"x")
    assert not cycle.transport.written


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"1")]], ids=["chunked", "of a length"])
def test_nothing_is_written_behind_the_end(headers: list[tuple[bytes, bytes]]) -> None:
    cycle = cycle_of()
    write_body(cycle, opening(cycle, 200, headers), b"x", more=False)
    written = list(cycle.transport.written)
    assert not write_chunk(cycle, b"more")
    for more in (True, False):
        write_body(cycle, b"", b"more", more)
    assert cycle.transport.written == written
    assert cycle.ends == ["event", "response"]
