"""A worker's answer, fed to its connection piece by piece. Timing on real sockets is in `test_worker_answers`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.client_exceptions import ClientError

from router.relay.worker_answer import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    READ_BUFFER_BYTES,
    USUAL_NAMES,
    WorkerAnswer,
    WorkerConnection,
)

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Wire:
    """The connection's transport."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.closed = False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Line:
    """A connection, its transport, and how often an answer was complete."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.connection = WorkerConnection(asyncio.get_running_loop())
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]
        self.ends = 0

    def ask(self, bodyless: bool = False) -> WorkerAnswer:
        def end() -> None:
            self.ends += 1

        return self.connection.expect(bodyless, end, self.connection.close)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    yield Line()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_head_and_body_and_the_connection_is_free_again(line: Line) -> None:
    for _ in range(2):
        answer = line.ask()
        assert line.connection.should_close, "in use"
        line.connection.data_received(b"HTTP/1.1 200 OK\r\nX: a\r\ncontent-length: 4\r\n\r\nab")
        await answer.head()
        assert (answer.status, answer.header(b"x"), answer.ended, await answer.read()) == (200, "a", False, b"ab")
        line.connection.data_received(b"cd")
        assert (answer.ended, await answer.read(), await answer.read()) == (True, b"cd", b"")
        assert not line.connection.should_close
    assert line.ends == 2


async def test_names_known_to_be_safe_pass_beside_one_that_is_checked(line: Line) -> None:
    answer = line.ask()
    names = [*sorted(USUAL_NAMES - {b"transfer-encoding"}), b"Unusual"]
    line.connection.data_received(b"HTTP/1.1 200 OK\r\n" + b"".join(name + b": 0\r\n" for name in names) + b"\r\n")
    await answer.head()
    assert [name for name, _ in answer.headers] == [name.lower() for name in names]


async def test_chunks_are_passed_on_without_waking_anybody(line: Line) -> None:
    answer, passed = line.ask(), []

    def pass_on(data: bytes) -> bool:
        passed.append(data)
        return len(passed) < 3

    line.connection.data_received(STREAM + chunk(b"1"))
    assert await answer.read() == b"1"
    reading = asyncio.ensure_future(answer.read(pass_on))
    await asyncio.sleep(0)
    line.connection.data_received(chunk(b"2") + chunk(b"3")[:4])
    line.connection.data_received(chunk(b"3")[4:] + chunk(b"4"))
    assert passed == [b"23", b"4"], "one call for what is read at once"
    line.connection.data_received(chunk(b"5"))
    line.connection.data_received(chunk(b"6") + b"0\r\nx-trailer: no\r\n\r\n")
    assert await reading == b"56", "what was refused and all that came after it"
    assert answer.ended
    assert answer.header(b"x-trailer") == ""


async def test_an_answer_may_end_with_its_connection(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nall")
    line.connection.connection_lost(None)
    assert (await answer.read(), answer.ended, line.ends) == (b"all", True, 1)
    assert line.connection.should_close


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200", STREAM + chunk(b"1"), b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"]
)
async def test_a_connection_that_ends_too_early_is_an_error_after_what_came(line: Line, sent: bytes) -> None:
    answer = line.ask()
    if sent:
        line.connection.data_received(sent)
    line.connection.connection_lost(None)
    with pytest.raises(OSError, match="ended"):
        while True:
            await answer.read()
    assert line.ends == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000,
    ],
)
async def test_what_is_no_answer_is_an_error_and_the_connection_is_given_up(line: Line, sent: bytes) -> None:
    answer = line.ask()
    line.connection.data_received(sent)
    with pytest.raises(ClientError):
        await answer.head()
    assert line.connection.should_close


async def test_announcements_are_no_answers(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(b"HTTP/1.1 103 Early Hints\r\nx: 1\r\n\r\nHTTP/1.1 204 No Content\r\ny: 2\r\n\r\n")
    assert (answer.status, answer.headers, answer.ended, line.ends) == (204, [(b"y", b"2")], True, 1)


async def test_the_answer_to_head_has_no_body_and_its_connection_is_not_used_again(line: Line) -> None:
    answer = line.ask(bodyless=True)
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    assert (answer.status, answer.ended, line.ends, line.connection.should_close) == (200, True, 1, True)


async def test_bytes_that_nobody_asked_for_close_the_connection(line: Line) -> None:
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    assert line.wire.closed
    other = Line()
    answer = other.ask()
    other.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{HTTP/1.1 200 OK\r\n\r\nsecond")
    assert (answer.ended, await answer.read(), other.connection.should_close) == (True, b"{", True)


async def test_a_worker_that_is_faster_than_the_client_waits(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(STREAM + chunk(b"x" * READ_BUFFER_BYTES))
    assert line.wire.calls == []
    line.connection.data_received(chunk(b"y"))
    assert line.wire.calls == ["pause"]
    await answer.read()
    assert line.wire.calls == ["pause", "resume"]


HEAD = b"HTTP/1.1 200 OK\r\n"
FLOODS = {
    "trailers": (STREAM + chunk(b"1") + b"0\r\n", b"x-trailer: y\r\n"),
    "one trailer": (STREAM + chunk(b"1") + b"0\r\nx: ", b"y" * 100),
    "a chunk's extension": (STREAM + chunk(b"1") + b"1;x=", b"y" * 100),
    "announcements": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
    "continuations": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": (HEAD, b"x: y\r\n"),
    "one header": (HEAD + b"x: ", b"y" * 100),
    "empty lines": (b"", b"\r\n"),
    "a reason": (b"HTTP/1.1 200 ", b"O" * 100),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_what_is_no_body_is_bounded_and_not_kept(line: Line, name: str) -> None:
    before, flood = FLOODS[name]
    answer, sent = line.ask(), 0
    line.connection.data_received(before)
    with pytest.raises(ClientError):
        while True:
            line.connection.data_received(flood)
            sent += len(flood)
            assert sent < MAX_HEADER_BYTES + 1000
            assert len(line.connection._headers) <= MAX_HEADERS
            if answer._error is not None:
                while not answer.ended:
                    await answer.read()
    assert line.connection.should_close


async def test_many_short_chunks_are_no_flood(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(STREAM)
    for _ in range(50_000):
        line.connection.data_received(chunk(b"1"))
    line.connection.data_received(b"0\r\n\r\n")
    assert (len(await answer.read()), answer.ended, line.connection.should_close) == (50_000, True, False)


async def test_as_many_headers_as_are_bearable(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(HEAD + b"x: y\r\n" * (MAX_HEADERS - 1) + b"content-length: 0\r\n\r\n")
    await answer.head()
    assert len(answer.headers) == MAX_HEADERS


UNCLEAR = [
    b"transfer-encoding: gzip\r\n\r\n",
    b"transfer-encoding: identity\r\n\r\n",
    b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n{}",
    b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    b"content-length: 2, 2\r\n\r\n{}",
    b"content-length: 0x2\r\n\r\n{}",
    b"content-length: 2\r\n\n{}",
]


@pytest.mark.parametrize("rest", UNCLEAR)
async def test_an_answer_whose_end_is_not_clear_is_none(line: Line, rest: bytes) -> None:
    answer = line.ask()
    line.connection.data_received(HEAD + rest)
    with pytest.raises(ClientError):
        await answer.head()
    assert line.connection.should_close


@pytest.mark.parametrize("first", [b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 99 OK"])
async def test_another_version_or_status_is_no_answer(line: Line, first: bytes) -> None:
    answer = line.ask()
    line.connection.data_received(first + b"\r\ncontent-length: 2\r\n\r\n{}")
    with pytest.raises(ClientError):
        await answer.head()


async def test_a_complete_answer_cuts_nothing_as_its_connection_may_be_another_requests(line: Line) -> None:
    answer = line.ask()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
    answer.close()
    assert answer.ended and not line.wire.closed
    half = line.ask()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{")
    half.close()
    assert line.wire.closed
