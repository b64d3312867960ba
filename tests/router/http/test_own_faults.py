"""The router has no file left for a connection: that is told to the client, and held against no worker."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from router.fleet.breaker import BreakerState
from router.fleet.worker import WorkerState
from tests.engines import EngineProcess
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT, GOOD
from tests.router.http.test_realtime import HANDSHAKE
from tests.routers import MODEL, running_router

HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"


@contextmanager
def no_files() -> Iterator[None]:
    """This process, router and all, can open nothing any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # these three are open, and whatever else is stays so
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_no_files_left() -> None:
    strict: dict[str, Any] = {
        "unhealthy_after": 1,
        "breaker_failures": 1,
        "health_interval_s": 0.1,
        "scrape_interval_s": 0.1,
    }
    with EngineProcess(model=MODEL) as worker:
        async with running_router(worker.url, **strict) as router:
            (fleet_worker,) = router.parts.fleet.workers.values()
            async with wire(router.port) as one, wire(router.port) as two, wire(router.port) as three:
                for client in (one, two, three):
                    await client.send(HEALTH)
                    assert (await client.answer())[0] == 200
                began = time.monotonic()
                with no_files():
                    for client in (one, two):
                        await client.send(post(CHAT, GOOD[CHAT]))
                        status, body = await client.answer()
                        assert status == 503
                        assert b"router_exhausted" in body
                    await three.send(HANDSHAKE.encode() + b"\r\n")
                    status, body = await three.answer()
                    assert status == 503
                    assert b"router_exhausted" in body
                    while time.monotonic() < began + 1:  # some probes fail meanwhile
                        await asyncio.sleep(0.05)
            assert fleet_worker.state is WorkerState.HEALTHY
            assert fleet_worker.breaker.state is BreakerState.CLOSED
            metrics = await router.metrics()
            failed = {name: n for name, n in metrics.items() if 'outcome="router_error"' in name and "worker" in name}
            assert sum(failed.values()) == 3, failed
            assert not [name for name in metrics if name.startswith("warmroute_retries_total{")]
            assert (await router.client.post(CHAT, json=GOOD[CHAT])).status_code == 200
