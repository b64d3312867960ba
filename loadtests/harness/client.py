"""The load: many streaming chat requests, each on its own connection, at little CPU per chunk.

Nothing is decoded: only the time of the first byte and the end of the stream count.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import cast

import httptools

from loadtests.harness.results import End, Result, end_of

HOST = "127.0.0.1"
PATIENCE_S = 45.0
"""A request that takes longer, in seconds, counts as hung and is abandoned."""
_TAIL_BYTES = 1024


class Call(asyncio.Protocol):
    """One request and its answer. `done` is set when the answer has ended."""

    def __init__(self, body: bytes, done: "asyncio.Future[None]", headers: bytes = b"") -> None:
        """`headers`: further header lines, each with its CRLF."""
        self._body = body
        self._headers = headers
        self._parser = httptools.HttpResponseParser(self)
        self._tail = b""
        self._complete = False
        self._worker = ""
        self._first_at = 0.0
        self.done = done
        self.started_at = time.perf_counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass
        writer.writelines((head, self._headers, b"Content-Length: %d\r\n\r\n" % len(self._body), self._body))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"x-warmroute-worker":
            self._worker = value.decode()

    def on_body(self, body: bytes) -> None:
        if not self._first_at:
            self._first_at = time.perf_counter()
        self._tail = (self._tail + body)[-_TAIL_BYTES:]

    def on_message_complete(self) -> None:
        self._complete = True
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def result(self, hung: bool) -> Result:
        """Call once, when the request has ended or is abandoned."""
        status = self._parser.get_status_code() if self._first_at else 0
        end = End.HUNG if hung else end_of(status, bool(self._first_at), self._tail, self._complete)
        return Result(self.started_at, self._first_at, time.perf_counter(), end, status, self._worker)


async def ask(port: int, body: bytes, patience_s: float = PATIENCE_S, headers: bytes = b"") -> Result:
    """Send one request and wait for its end. Never raises because of the server."""
    loop = asyncio.get_running_loop()
    call = Call(body, loop.create_future(), headers)
    try:
        transport, _ = await loop.create_connection(lambda: call, HOST, port)
    except OSError:
        return call.result(False)
    try:
        async with asyncio.timeout(patience_s):
            await call.done
        return call.result(False)
    except TimeoutError:
        return call.result(True)
    finally:
        transport.close()


async def steady(port: int, streams: int, ramp_s: float, until: float, body: Callable[[], bytes]) -> list[Result]:
    """Keep `streams` requests running until `until` (of `time.perf_counter`), begun over `ramp_s`; then let all end."""
    results: list[Result] = []

    async def one(delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while time.perf_counter() < until:
            result = await ask(port, body())
            results.append(result)
            if result.end is End.FAILED:
                await asyncio.sleep(0.01)  # a server that refuses at once must not be hammered

    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(one(ramp_s * number / streams))
    return results


def chat(model: str, prompt: str, answer_tokens: int) -> bytes:
    """A streaming request's body, with one user message."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
    return json.dumps({**body, "max_tokens": answer_tokens}).encode()
