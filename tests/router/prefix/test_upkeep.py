"""The background work of the shared index, against a real server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from router.prefix.residency import Limits
from router.prefix.shared import SharedIndex
from router.prefix.upkeep import QUEUED, Upkeep
from router.prefix.verbs import SharedLimits
from router.shared.check import SecretCheck
from router.shared.keys import Keys
from router.shared.link import Link
from router.tasks import Background
from tests.router.prefix.conftest import Clock, chain_of, confirmed, held, make_shared
from tests.router.shared.conftest import until
from tests.servers import RedisServer

CHAINS = [chain_of(f"{number}{letter}" for letter in "abcdef") for number in range(QUEUED + 8)]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def kept(
    server: RedisServer, clock: Clock, most: int = 1 << 40, secret: bytes = b"secret", user: str = ""
) -> AsyncIterator[tuple[Link, SharedIndex, Upkeep]]:
    url = f"redis://{user}@127.0.0.1:{server.port}" if user else server.url
    link, index = make_shared(url, "upkeep", Limits(default_capacity_blocks=10_000), clock)
    upkeep = Upkeep(index, link, SecretCheck(link, Keys("upkeep"), secret), SharedLimits(max_memory_bytes=most))
    async with link, index, Background() as background:
        background.start("watch", upkeep.watch)
        background.start("refill", upkeep.refill)
        await until(lambda: link.connected)
        yield link, index, upkeep


@pytest.mark.parametrize(("most", "room"), [(1, False), (1 << 40, True)])
async def test_room_is_what_the_server_s_memory_leaves(
    server: RedisServer, clock: Clock, most: int, room: bool
) -> None:
    async with kept(server, clock, most) as (_, index, upkeep):
        await until(lambda: upkeep.used_bytes > 0)
        assert index.writer.room is room


async def test_a_server_that_does_not_tell_its_memory_is_complained_about_once(
    server: RedisServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "blind", "on", ">password", "~*", "+@all", "-info")
        async with kept(server, clock, user="blind:password") as (_, index, upkeep):
            await until(lambda: "does not report its memory" in caplog.text)
            upkeep._due.set()
            await until(lambda: client.acl_log() and client.acl_log()[0]["count"] > 1)
            assert (upkeep.used_bytes, index.writer.room) == (0, True)
    assert caplog.text.count("does not report its memory") == 1


async def test_another_secret_is_noticed(server: RedisServer, clock: Clock) -> None:
    async with kept(server, clock) as (one, _, _):
        await until(lambda: server.client().exists(Keys("upkeep").check) == 1)
        async with kept(server, clock, secret=b"other") as (other, _, _):
            await until(lambda: other.counters.secret_differs)
        assert not one.counters.secret_differs


async def test_what_was_lost_is_written_again(server: RedisServer, clock: Clock) -> None:
    async with kept(server, clock) as (_, index, upkeep):
        for chain in CHAINS:
            index.record(confirmed("w", chain))
        await index.flush()
        with server.client() as client:
            client.flushall()
        await index.match(CHAINS[0])  # it tells of the loss
        await until(lambda: upkeep.restored == len(CHAINS))
        await index.flush()
        for chain in CHAINS:
            assert dict(await index.match(chain)) == {"w": held(6)}
        assert not index.fallbacks.values
