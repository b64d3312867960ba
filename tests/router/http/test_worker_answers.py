"""What a worker may write that no good server does: it becomes an error of the API or a visible cut, and no later
request sees anything of it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.router.http.raw import post
from tests.router.http.scripted_worker import STREAM_HEAD, Script, ScriptedWorker, chunk
from tests.router.http.site import CHAT, GOOD
from tests.routers import RunningRouter, running_router

BODY = json.dumps(GOOD[CHAT]).encode()
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
FRAME = b'data: {"x": 1}\n\n'


def writes(*pieces: bytes, then: str = "close") -> Script:
    """A script that reads the body, writes these pieces, and then closes, hangs or resets."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(BODY))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        if then == "hang":
            await reader.read()
        elif then == "reset":
            writer.transport.abort()

    return script


@asynccontextmanager
async def in_front_of(script: Script) -> AsyncIterator[RunningRouter]:
    async with (
        ScriptedWorker(script) as worker,
        running_router(worker.url, first_byte_timeout_s=0.3, silence_timeout_s=0.3, breaker_failures=100) as router,
    ):
        yield router
        await router.settles(2)
        assert not router.parts.watchdog._watches


async def ask(router: RunningRouter) -> httpx.Response:
    return await router.client.post(CHAT, content=BODY, headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    ("written", "then", "status"),
    [
        (b"garbage\r\n\r\n", "close", 502),
        (b"", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "reset", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "hang", 504),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}", "close", 502),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", "close", 502),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", "hang", 504),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "hang", 502),
        (b"HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}", "close", 502),
        (b"HTTP/1.1 200 OK\r\nx: a\x01b\r\ncontent-length: 2\r\n\r\n{}", "close", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", "close", 502),
        (STREAM_HEAD, "close", 502),
        (STREAM_HEAD + chunk(b": keep-alive\n\n") * 3, "hang", 504),
    ],
)
async def test_no_answer_is_told_as_an_error(written: bytes, then: str, status: int) -> None:
    async with in_front_of(writes(written, then=then)) as router:
        answer = await ask(router)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("written", "status", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 418 I am a teapot\r\ncontent-length: 2\r\n\r\n{}", 418, b"{}"),
        (b"HTTP/1.1 200 OK\r\nx-latin: \xe4\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
    ],
)
async def test_odd_answers_are_relayed(written: bytes, status: int, body: bytes) -> None:
    async with in_front_of(writes(written)) as router:
        answer = await ask(router)
        assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
async def test_a_short_answer_is_cut(then: str) -> None:
    async with in_front_of(writes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", then=then)) as router:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(router)


@pytest.mark.parametrize(
    ("rest", "then"),
    [(b"zz\r\n", "close"), (b"ffff\r\n", "close"), (b"5\r\nab", "reset"), (b"", "hang"), (b"1", "hang")],
)
async def test_a_broken_stream_ends_with_an_error_event(rest: bytes, then: str) -> None:
    async with in_front_of(writes(STREAM_HEAD + chunk(FRAME), rest, then=then)) as router:
        answer = await ask(router)
        assert answer.content.startswith(FRAME)
        assert b'"api_error"' in answer.content
        assert answer.content.endswith(b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize("framing", ["content-length: 99", "transfer-encoding: chunked\r\ncontent-encoding: gzip"])
async def test_a_stream_that_no_event_can_be_added_to_is_cut(framing: str) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n\r\n".encode()
    body = gzip.compress(FRAME)[:-9] if "gzip" in framing else FRAME
    async with in_front_of(writes(head, chunk(body) if "chunked" in framing else body)) as router:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(router)


async def test_what_a_worker_writes_behind_its_answer_is_no_answer() -> None:
    served = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readexactly(len(BODY))
        served += 1
        writer.write(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
        await reader.read()

    async with in_front_of(script) as router:
        for _ in range(3):
            assert (await ask(router)).content == b"{}"
        assert served == 3


async def test_an_answer_before_the_end_of_the_upload_does_not_spoil_the_connection() -> None:
    large = post(CHAT, GOOD[CHAT] | {"x": "y" * 5_000_000}).partition(b"\r\n\r\n")[2]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(10) == large[:10]:
            writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
            await reader.read()
        else:
            writer.write(OK)

    async with in_front_of(script) as router:
        for _ in range(2):
            assert (await router.client.post(CHAT, content=large)).status_code == 413
            assert (await router.client.post(CHAT, content=b" " + BODY)).status_code == 200
