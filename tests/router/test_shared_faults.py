"""Redis breaks, or another router dies, while requests run: none fails, none waits."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from loadtests.ports import ports
from router.fleet.worker_names import worker_id
from router.settings import Secret
from tests.engines import EngineThread
from tests.router.http.site import CHAT
from tests.routers import RunningRouter, chat, running_router
from tests.servers import RedisServer

SECRET = "secret-of-the-test"
STEP_S = 0.8
SLOW_S = 3.0
"""No request may take longer, whatever breaks: the machine may be busy, a Redis time-out would be more."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def two_routers(redis: RedisServer, engine: EngineThread) -> AsyncIterator[list[RunningRouter]]:
    settings: dict[str, Any] = {"redis": redis.url, "index_secret": Secret(SECRET)}
    async with running_router(engine.url, **settings) as one, running_router(engine.url, **settings) as two:
        await _until(lambda: all(r.sharing.load.routers == 2 for r in (one, two)))
        yield [one, two]


async def _until(condition: Callable[[], bool], limit_s: float = 8.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def _load(routers: list[RunningRouter], stop: asyncio.Event) -> tuple[int, float]:
    """Ask until stopped. Returns how many requests there were, and the longest one's seconds; fails if one fails."""
    rng, count, longest = random.Random(1), 0, 0.0
    text = "So it goes. " * 300
    while not stop.is_set():
        text += f" And then {rng.random()}."
        began = time.monotonic()
        answer = await rng.choice(routers).client.post(CHAT, json=chat(text, max_tokens=2))
        longest = max(longest, time.monotonic() - began)
        assert answer.status_code == 200, answer.text
        count += 1
    return count, longest


async def _killed(redis: RedisServer) -> None:
    redis.kill()
    await asyncio.sleep(STEP_S)
    redis.start()


async def _frozen(redis: RedisServer) -> None:
    redis.freeze()
    await asyncio.sleep(STEP_S)
    redis.thaw()


async def _flushed(redis: RedisServer) -> None:
    with redis.client() as client:
        for _ in range(8):
            client.flushall()
            client.script_flush()
            await asyncio.sleep(STEP_S / 8)


async def _full(redis: RedisServer) -> None:
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        await asyncio.sleep(STEP_S)
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("strike", [_killed, _frozen, _flushed, _full])
async def test_no_request_fails_or_waits(redis: RedisServer, strike: Callable[[RedisServer], Awaitable[None]]) -> None:
    with EngineThread(model="m") as engine:
        async with two_routers(redis, engine) as routers:
            stop = asyncio.Event()
            loads = [asyncio.create_task(_load(routers, stop)) for _ in range(4)]
            await asyncio.sleep(0.3)
            await strike(redis)
            await _until(lambda: all(r.sharing.load.routers == 2 for r in routers))
            stop.set()
            for count, longest in await asyncio.gather(*loads):
                assert count > 5
                assert longest < SLOW_S


async def test_a_killed_routers_load_is_gone_within_five_seconds(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        engine.fault("hang_after", path=CHAT)
        command = [sys.executable, "-m", "router", "serve", "--port", str(port := ports(1)[0]), "--tokenizer", "off"]
        command += ["--worker", engine.url, "--redis", redis.url, "--no-access-log"]
        environ = {**os.environ, "WARMROUTE_INDEX_SECRET": SECRET}
        other = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.DEVNULL)
        settings: dict[str, Any] = {"redis": redis.url, "index_secret": Secret(SECRET)}
        try:
            async with running_router(engine.url, **settings) as router, httpx.AsyncClient() as client:
                worker = router.parts.fleet.workers[worker_id(engine.url)]
                seen = worker.elsewhere
                assert seen is not None
                asking = asyncio.create_task(_stream_until_cut(client, f"http://127.0.0.1:{port}{CHAT}"))
                await _until(lambda: seen(time.monotonic()).in_flight == 1, 20)
                os.kill(other.pid, signal.SIGKILL)
                assert await _until(lambda: seen(time.monotonic()).in_flight == 0) < 5
                await asking
        finally:
            if other.returncode is None:
                other.kill()
            await other.wait()


async def _stream_until_cut(client: httpx.AsyncClient, url: str) -> None:
    """Ask until the router is there, then read until it is not."""
    while True:
        try:
            async with client.stream("POST", url, json=chat(stream=True), timeout=30) as answer:
                if answer.is_success:
                    async for _ in answer.aiter_raw():
                        pass
        except httpx.ConnectError:
            await asyncio.sleep(0.1)
        except httpx.TransportError:
            return
        else:
            await asyncio.sleep(0.1)
