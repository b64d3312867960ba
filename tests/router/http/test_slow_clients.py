"""Clients that read slowly or not at all: the router neither buffers for them without end nor waits for ever."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from router.fleet.breaker import BreakerState
from router.wire.protocol import GuardedProtocol
from tests.router.http.raw import Wire, post
from tests.router.http.scripted_worker import STREAM_HEAD, ScriptedWorker, chunk
from tests.router.http.site import CHAT, GOOD, running_site
from tests.routers import RunningRouter, running_router

FRAME = b'data: {"x": "' + b"y" * 8000 + b'"}\n\n'
MANY_FRAMES = 2_000
ENDLESS = 1_000_000
BUFFERED_BYTES = 48 << 20
"""What may be on the way from a worker to a client that does not read: nearly all of it in the kernel's own buffers,
which grow to 32 MiB for a fast sender."""
STREAM = post(CHAT, GOOD[CHAT] | {"stream": True})


class Source:
    """A worker's side of one long stream: how much of it was taken, and how it ended."""

    def __init__(self, frames: int, ending: str) -> None:
        self.sent_bytes = 0
        self.ended = asyncio.Event()
        self._frames = frames
        self._ending = ending

    async def write(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        writer.write(STREAM_HEAD)
        try:
            for _ in range(self._frames):
                writer.write(chunk(FRAME))
                await writer.drain()
                self.sent_bytes += len(FRAME)
            if self._ending == "whole":
                writer.write(chunk(b"data: [DONE]\n\n") + chunk(b""))
            elif self._ending == "dies":
                writer.transport.abort()
            await reader.read()
        finally:
            self.ended.set()


@asynccontextmanager
async def streaming(frames: int, ending: str, **settings: Any) -> AsyncIterator[tuple[RunningRouter, Source]]:
    """A router whose only worker answers with this one stream."""
    source = Source(frames, ending)
    async with ScriptedWorker(source.write) as worker, running_router(worker.url, **settings) as router:
        yield router, source


@asynccontextmanager
async def small_wire(port: int) -> AsyncIterator[Wire]:
    """A connection with a receive buffer of a few kilobytes, that reads only when asked."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def stands_still(source: Source) -> int:
    """Wait until the worker gets rid of nothing more; returns how much it got rid of."""
    async with asyncio.timeout(3):
        while True:
            before = source.sent_bytes
            await asyncio.sleep(0.1)
            if before == source.sent_bytes > 0:
                return before


async def test_backpressure_reaches_the_worker() -> None:
    async with streaming(ENDLESS, "whole") as (router, source), small_wire(router.port) as client:
        await client.send(STREAM)
        assert await stands_still(source) < BUFFERED_BYTES
        assert router.leases == 1


async def test_nothing_is_lost_to_backpressure() -> None:
    """Nor is the time for which the client kept the worker waiting taken for the worker's silence."""
    limits = {"silence_timeout_s": 0.2, "client_timeout_s": 5.0}
    async with streaming(MANY_FRAMES, "whole", **limits) as (router, source), small_wire(router.port) as client:
        await client.send(STREAM)
        for _ in range(4):
            await stands_still(source)
        async with asyncio.timeout(5):
            assert (await client.head())[0] == 200
            assert await client.chunked() == FRAME * MANY_FRAMES + b"data: [DONE]\n\n"


@pytest.mark.parametrize("ending", ["whole", "dies", "silent"])
@pytest.mark.parametrize("frames", [700, ENDLESS], ids=["all on its way", "endless"])
async def test_a_client_that_does_not_read_is_cut(frames: int, ending: str) -> None:
    limits = {"client_timeout_s": 0.4, "silence_timeout_s": 0.2}
    async with streaming(frames, ending, **limits) as (router, source), small_wire(router.port) as client:
        await client.send(STREAM)
        async with asyncio.timeout(3):
            while not router.leases:
                await asyncio.sleep(0.005)
            await source.ended.wait()
        await router.settles(3)
        assert not router.parts.watchdog._watches
        worker = next(iter(router.parts.fleet.workers.values()))
        assert worker.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    "request_bytes",
    [post(CHAT, b"{}" + b" " * 500), post(CHAT, GOOD[CHAT]), b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"],
    ids=["refused", "relayed", "own page"],
)
async def test_a_client_that_pipelines_and_does_not_read_is_cut(request_bytes: bytes) -> None:
    async with running_site(client_timeout_s=0.3) as site:
        site.engine.fault("large_headers", path=CHAT)
        open_connections = site.router.parts.server.server_state.connections
        others = set(open_connections)
        async with small_wire(site.router.port) as client:
            async with asyncio.timeout(8):
                await client.send(request_bytes)
                while not (ours := open_connections - others):
                    await asyncio.sleep(0.005)
                while open_connections & ours:
                    if client.writer.transport.get_write_buffer_size() == 0 and _held_bytes(ours) < 200_000:
                        client.writer.write(request_bytes * 100)
                    await asyncio.sleep(0.005)
        await site.unharmed()


def _held_bytes(connections: Iterable[object]) -> int:
    """What the connections hold of requests that were sent ahead."""
    return sum(connection._held_bytes for connection in connections if isinstance(connection, GuardedProtocol))


async def test_a_slow_client_that_goes_on_reading_is_served() -> None:
    async with streaming(100, "whole", client_timeout_s=0.5) as (router, _), small_wire(router.port) as client:
        await client.send(STREAM)
        await client.head()
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += await client.reader.read(16_384)
            await asyncio.sleep(0.01)
        assert body.count(b"data: {") == 100
        assert b"data: [DONE]" in body


async def test_an_upload_may_take_its_time_but_not_stop() -> None:
    data = post(CHAT, GOOD[CHAT] | {"x": "y" * 6_000})
    async with running_site(client_timeout_s=0.5) as site, small_wire(site.router.port) as client:
        for start in range(0, len(data), 1_000):
            await client.send(data[start : start + 1_000])
            await asyncio.sleep(0.15)
        assert (await client.answer())[0] == 200
        await client.send(data[:1_000])
        assert (await client.answer())[0] == 408


async def test_all_bodies_together_are_bounded() -> None:
    data = post(CHAT, GOOD[CHAT] | {"x": "y" * 60_000})
    async with running_site(max_body_bytes=100_000, max_buffered_bytes=100_000) as site:
        site.engine.fault("hang_before", count=1)
        async with small_wire(site.router.port) as first, small_wire(site.router.port) as second:
            await first.send(data)
            await site.engine.settles(faults_struck=1)
            await second.send(data)
            status, headers = await second.head()
            assert (status, headers["retry-after"]) == (503, "1")
        await site.unharmed()
        async with small_wire(site.router.port) as third:
            await third.send(data)
            assert (await third.answer())[0] == 200


async def test_requests_in_flight_are_bounded() -> None:
    async with running_site(max_requests_in_flight=2) as site:
        site.engine.fault("hang_before", count=2)
        async with small_wire(site.router.port) as one, small_wire(site.router.port) as two:
            for client in (one, two):
                await client.send(STREAM)
            await site.engine.settles(faults_struck=2)
            refused = await site.router.client.post(CHAT, json=GOOD[CHAT])
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert (await site.router.client.get("/health")).status_code == 200
        await site.unharmed()
