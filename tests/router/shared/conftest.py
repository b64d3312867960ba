"""Servers of every kind on this machine, and links to them."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from router.shared.address import parse_address
from router.shared.counters import LinkCounters
from router.shared.link import Link, LinkLimits
from tests.servers import RedisServer, binaries

LIMITS = LinkLimits(ask_s=0.5, tell_s=2.0, heartbeat_s=0.05, stalled_s=0.4, probe_s=0.02)
"""Patient with a busy machine, quick to notice what a test does."""
QUICK = replace(LIMITS, ask_s=0.02, slow_in_row=3)


def make_link(url: str, limits: LinkLimits = LIMITS, route_key: str = "key") -> Link:
    return Link(parse_address(url), route_key, limits, LinkCounters(), random.Random(1))


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for what another process does."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running_link(url: str, limits: LinkLimits = LIMITS, route_key: str = "key") -> AsyncIterator[Link]:
    """A link that is connected."""
    async with make_link(url, limits, route_key) as link:
        await until(lambda: link.connected)
        yield link


@pytest.fixture(scope="module", params=binaries())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server that no test of the module harms."""
    with RedisServer(request.param) as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server for one test alone."""
    with RedisServer() as server:
        yield server
