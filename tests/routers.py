"""Whole routers for tests: in the test's own event loop, on a real socket, so that tests can look inside.

async with running_router(engine.url, policy="round_robin") as router:
    answer = await router.client.post("/v1/chat/completions", json=...)
    assert router.leases == 0
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any, BinaryIO

import httpx

from router.build.app import Router
from router.build.make_sharing import Sharing
from router.build.tuning import Tuning
from router.dial.allow import read_rule
from router.settings import Secret, Settings

READY_S = 45.0
"""A tokenizer takes 5 s of CPU time to load, and a machine may be busy."""
MODEL = "m"


class RunningRouter:
    """A router that serves."""

    def __init__(self, parts: Router, port: int) -> None:
        self.parts = parts
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=30)

    @property
    def leases(self) -> int:
        """Requests in flight over all workers; every other counter of the load must agree when it is 0."""
        workers = self.parts.fleet.workers.values()
        running = sum(worker.running.in_flight for worker in workers)
        if not running:
            assert all(not w.running.queued_tokens and not w.running.held_tokens for w in workers)
        return running

    @property
    def sharing(self) -> Sharing:
        """What it shares with others: for routers with a Redis."""
        assert self.parts.sharing is not None
        return self.parts.sharing

    async def settles(self, timeout_s: float = 5.0) -> None:
        """Wait until nothing is in flight: no lease, no request, no buffered body, no pending record."""
        async with asyncio.timeout(timeout_s):
            while self.leases or self.parts.gateway.in_flight or self.parts.body_budget.used_bytes:
                await asyncio.sleep(0.01)
            await self.parts.index.flush()

    async def metrics(self) -> dict[str, float]:
        """All samples, by name with labels as they are written."""
        page = (await self.client.get("/metrics")).text
        lines = (line.rpartition(" ") for line in page.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}


def chat(content: str = "hello", **more: Any) -> dict[str, Any]:
    """A small chat request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 4, **more}


def settings_for(*urls: str, **changes: Any) -> Settings:
    """Settings of a test router: quiet log, a free port."""
    base = Settings(
        port=0,
        workers=urls,
        worker_allow=(read_rule("127.0.0.0/8"),),
        tokenizer="off",
        admin_api_key=Secret("admin"),
        access_log=False,
        drain_timeout_s=5,
    )
    return replace(base, **changes)


QUICK = Tuning(seed=1, health_interval_s=0.3, scrape_interval_s=0.2, warm_in_s=0)
TUNED = frozenset(field.name for field in fields(Tuning))


def router_for(*urls: str, access_stream: BinaryIO | None = None, **changes: Any) -> Router:
    """A test router that is not started. `changes` are of its settings and its tuning."""
    tuning = replace(QUICK, **{name: value for name, value in changes.items() if name in TUNED})
    settings = settings_for(*urls, **{name: value for name, value in changes.items() if name not in TUNED})
    return Router(settings, access_stream, tuning=tuning)


@asynccontextmanager
async def running_router(
    *urls: str, ready: bool = True, access_stream: BinaryIO | None = None, **changes: Any
) -> AsyncIterator[RunningRouter]:
    """Start a router in front of `urls`; ends with its drain."""
    async with router_for(*urls, access_stream=access_stream, **changes) as parts:
        serving = asyncio.create_task(parts.server.serve())
        while not parts.server.started:
            assert not serving.done()
            await asyncio.sleep(0.005)
        port = parts.server.servers[0].sockets[0].getsockname()[1]
        router = RunningRouter(parts, port)
        try:
            if ready:
                await _healthy(parts, len(urls))
            yield router
        finally:
            await router.client.aclose()
            parts.server.should_exit = True
            await serving


async def _healthy(parts: Router, count: int) -> None:
    async with asyncio.timeout(READY_S):
        while sum(worker.available() for worker in parts.fleet.workers.values()) < count:
            await asyncio.sleep(0.01)
        while parts.prompts.encoders.loading:
            await asyncio.sleep(0.01)


def data_folder() -> str:
    """Recorded sessions for opt-in tests; empty when there are none."""
    return os.environ.get("WARMROUTE_TEST_DATA", "")
