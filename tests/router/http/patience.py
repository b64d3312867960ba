"""A router that lets clients wait, and what gives up on silence: a proxy, and a client with Codex's timers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.engines import EngineThread, quick_profile
from tests.router.http.site import CHAT, RESPONSES
from tests.routers import MODEL, RunningRouter, chat, running_router

CODEX_S, PROXY_S = 300.0, 60.0
"""Codex gives up after this many seconds without data, many proxies after theirs without a byte."""
CODEX_TRIES = 6
BODY = {"model": MODEL, "input": "short", "max_output_tokens": 2, "stream": True}


@asynccontextmanager
async def busy(held_s: float, every_s: float) -> AsyncIterator[RunningRouter]:
    """A router whose only worker computes another prompt for `held_s`. `every_s`: the setting `stream_keepalive_s`."""
    rate = 8000 / held_s
    first = {**chat("word " * 6400), "max_tokens": 1}
    with EngineThread(model=MODEL, profile=quick_profile(prefill_rate=rate, step_tokens=64)) as engine:
        async with running_router(
            engine.url, stream_keepalive_s=every_s, prefill_rate=rate, saturation_wait_s=0.2, queue_timeout_s=3600.0
        ) as router:
            computing = asyncio.create_task(router.client.post(CHAT, json=first, timeout=None))
            async with asyncio.timeout(5):
                while not router.leases:
                    await asyncio.sleep(0.002)
            yield router
            await computing


@asynccontextmanager
async def impatient_proxy(port: int, patience_s: float) -> AsyncIterator[int]:
    """Cuts a connection on which nothing came from the server for so long."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, to_server = await asyncio.open_connection("127.0.0.1", port)

        async def upload() -> None:
            while data := await reader.read(1 << 16):
                to_server.write(data)

        uploading = asyncio.create_task(upload())
        try:
            while data := await asyncio.wait_for(behind.read(1 << 16), patience_s):
                writer.write(data)
                await writer.drain()
        except (TimeoutError, ConnectionError):
            pass
        finally:
            uploading.cancel()
            to_server.transport.abort()
            writer.transport.abort()
            await asyncio.gather(uploading, return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def codex(port: int, patience_s: float) -> tuple[int, int]:
    """As Codex reads a stream: only data is life, unknown types are passed over, and a stream that ends without
    `response.completed` is sent again. Returns tries and heartbeats."""
    for tries in range(1, CODEX_TRIES + 1):
        heartbeats, heard_at = 0, time.monotonic()
        url = f"http://127.0.0.1:{port}{RESPONSES}"
        async with httpx.AsyncClient(timeout=None) as client:
            try:
                async with client.stream("POST", url, json=BODY, headers={"thread-id": "t"}) as answer:
                    assert answer.status_code != 429, "it would give up"
                    lines = answer.aiter_lines()
                    while True:
                        line = await asyncio.wait_for(anext(lines), heard_at + patience_s - time.monotonic())
                        if not line.startswith("data:"):
                            continue
                        heard_at = time.monotonic()
                        kind = json.loads(line.removeprefix("data:"))["type"]
                        heartbeats += kind == "response.heartbeat"
                        if kind == "response.completed":
                            return tries, heartbeats
            except (TimeoutError, StopAsyncIteration, httpx.TransportError):
                pass
    raise AssertionError("it gave up")
