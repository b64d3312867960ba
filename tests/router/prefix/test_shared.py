"""The shared index when Redis is in trouble, and between routers."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from router.prefix.index import HASH_BYTES, Held
from router.prefix.residency import Limits
from router.prefix.shared import SharedIndex
from router.prefix.upkeep import Upkeep
from router.prefix.verbs import SEGMENT_BLOCKS, SharedLimits
from router.shared.check import SecretCheck
from router.shared.keys import Keys
from router.shared.link import Link
from router.tasks import Background
from tests.router.prefix.conftest import Clock, chain_of, confirmed, dropped, held, make_shared, pending
from tests.router.shared.conftest import until
from tests.servers import RedisServer

CHAIN = chain_of(range(100))
LIMITS = Limits(default_capacity_blocks=10_000)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def router_on(server: RedisServer, clock: Clock) -> AsyncIterator[tuple[Link, SharedIndex, Upkeep]]:
    link, index = make_shared(server.url, "shared-test", LIMITS, clock)
    check = SecretCheck(link, Keys("shared-test"), b"secret")
    upkeep = Upkeep(index, link, check, SharedLimits(max_memory_bytes=1 << 40))
    async with link, index, Background() as background:
        background.start("watch", upkeep.watch)
        background.start("refill", upkeep.refill)
        await until(lambda: link.connected)
        await index.flush()
        yield link, index, upkeep


def nodes(server: RedisServer) -> int:
    with server.client() as client:
        return sum(b":s:" in key for key in client.keys("*"))


async def test_a_killed_server_is_replaced_by_the_tree_and_told_when_it_is_back(
    server: RedisServer, clock: Clock
) -> None:
    async with router_on(server, clock) as (link, index, upkeep):
        index.record(confirmed("w1", CHAIN))
        await index.flush()
        server.kill()
        await until(lambda: not link.connected)
        assert dict(await index.match(CHAIN)) == {"w1": held(100)}
        assert index.fallbacks.values == {("redis_down",): 1}
        index.record(pending("w2", CHAIN))
        index.record(confirmed("w2", CHAIN, pended=CHAIN))
        server.start()
        await until(lambda: link.connected and upkeep.restored >= 2)
        await index.flush()
        async with router_on(server, clock) as (_, other, _):
            assert dict(await other.match(CHAIN)) == {"w1": held(100), "w2": held(100)}


@pytest.fixture
def lasting_server() -> Iterator[RedisServer]:
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        yield server


async def test_what_ends_while_redis_is_away_is_taken_back_when_it_returns(
    lasting_server: RedisServer, clock: Clock
) -> None:
    async with router_on(lasting_server, clock) as (link, index, _):
        index.record(pending("w1", CHAIN))
        await index.flush()
        lasting_server.kill()
        await until(lambda: not link.connected)
        index.record(dropped("w1", CHAIN))
        lasting_server.start()
        await until(lambda: link.connected)
        await index.flush()
        async with router_on(lasting_server, clock) as (_, other, _):
            assert dict(await other.match(CHAIN)) == {}


async def test_a_lost_connection_takes_no_other_pending_back_and_leaves_none(
    lasting_server: RedisServer, clock: Clock
) -> None:
    async with router_on(lasting_server, clock) as (link, index, _):
        index.record(pending("w1", CHAIN))
        index.record(pending("w1", CHAIN))
        await index.flush()
        lasting_server.freeze()
        index.record(dropped("w1", CHAIN))
        await until(lambda: not index.batcher)
        lasting_server.kill()
        lasting_server.start()
        await until(lambda: link.connected)
        await index.flush()
        async with router_on(lasting_server, clock) as (_, other, _):
            assert dict(await other.match(CHAIN)) == {"w1": Held(0, 100)}
            index.record(dropped("w1", CHAIN))
            await index.flush()
            assert dict(await other.match(CHAIN)) == {}


async def test_flushed_scripts_are_no_trouble(server: RedisServer, clock: Clock) -> None:
    async with router_on(server, clock) as (_, index, _):
        index.record(confirmed("w1", CHAIN))
        await index.flush()
        with server.client() as client:
            client.script_flush()
        assert dict(await index.match(CHAIN)) == {"w1": held(100)}
        assert not index.fallbacks.values


async def test_a_frozen_server_is_not_waited_for(server: RedisServer, clock: Clock) -> None:
    async with router_on(server, clock) as (_, index, _):
        index.record(confirmed("w1", CHAIN))
        await index.flush()
        server.freeze()
        assert dict(await index.match(CHAIN)) == {"w1": held(100)}
        assert set(index.fallbacks.values) <= {("redis_slow",), ("redis_lost",)}
        server.thaw()


async def test_a_full_server_refuses_and_goes_on_answering(server: RedisServer, clock: Clock) -> None:
    async with router_on(server, clock) as (_, index, _):
        index.record(confirmed("w1", CHAIN))
        await index.flush()
        with server.client() as client:
            client.config_set("maxmemory", "1")
        index.record(confirmed("w2", chain_of("other")))
        await index.flush()
        assert index.refused == 1
        assert dict(await index.match(CHAIN)) == {"w1": held(100)}
        with server.client() as client:
            client.config_set("maxmemory", "0")
        index.record(confirmed("w2", chain_of("other")))
        await index.flush()
        assert dict(await index.match(chain_of("other"))) == {"w2": held(5)}


async def test_beyond_the_memory_limit_what_is_there_is_still_touched(server: RedisServer, clock: Clock) -> None:
    async with router_on(server, clock) as (_, index, _):
        index.record(confirmed("w1", CHAIN[: 40 * HASH_BYTES]))
        await index.flush()
        index.writer.room = False
        index.record(confirmed("w2", CHAIN))
        await index.flush()
        assert index.refused == 1
        assert dict(await index.match(CHAIN)) == {"w1": held(40), "w2": held(40)}


async def test_of_two_routers_that_notice_a_loss_one_forgets(server: RedisServer, clock: Clock) -> None:
    async with router_on(server, clock) as (_, one, _), router_on(server, clock) as (_, two, _):
        for index in (one, two):
            index.record(confirmed("w1", CHAIN))
            await index.flush()
        clock.now += 60
        one.remove_worker("w1")
        await one.flush()
        one.record(confirmed("w1", CHAIN[: 8 * HASH_BYTES]))
        await one.flush()
        assert dict(await two.match(CHAIN)) == {"w1": held(8)}
        assert two.local.find(CHAIN) == {}, "the tree forgets what another router saw lost"
        await two.match(CHAIN)
        await two.flush()
        assert two.local.find(CHAIN) == {"w1": held(8)}, "and learns what there is now"
        two.remove_worker("w1")
        await two.flush()
        assert dict(await one.match(CHAIN)) == {"w1": held(8)}, "the same loss, noticed later"
        clock.now += 60
        two.remove_worker("w1")
        await two.flush()
        assert dict(await one.match(CHAIN)) == {}


async def test_everything_has_a_lifetime_heads_longer_than_tails(server: RedisServer, clock: Clock) -> None:
    chain = chain_of(range(4 * SEGMENT_BLOCKS))
    async with router_on(server, clock) as (_, index, _):
        index.record(pending("w2", chain_of("other")))
        index.record(confirmed("w1", chain))
        await index.flush()
    with server.client() as client:
        assert all(client.ttl(key) > 0 for key in client.keys("*"))
        starts = range(0, len(chain), SEGMENT_BLOCKS * HASH_BYTES)
        parts = [b"{shared-test}:2:s:" + chain[at : at + HASH_BYTES] for at in starts]
        lives = [client.ttl(key) for key in parts]
        assert lives == sorted(lives, reverse=True) and lives[-1] > 3600


async def test_steps_of_many_blocks_forget_about_right(server: RedisServer, clock: Clock) -> None:
    rng = random.Random(5)
    async with router_on(server, clock) as (_, index, _):
        index._verbs.limits = SharedLimits(default_capacity_blocks=5000, steps=64)
        index.set_capacity("w1", 5000)
        chains = [
            chain_of([number], CHAIN[: 30 * HASH_BYTES]) + rng.randbytes(150 * HASH_BYTES) for number in range(60)
        ]
        for chain in chains:
            index.record(confirmed("w1", chain))
        await index.flush()
        kept = 0
        for chain in chains:
            shared = (await index.match(chain)).get("w1", held(0)).blocks
            kept += shared
            assert abs(shared - index.local.find(chain).get("w1", held(0)).blocks) <= 5000 // 64
        assert kept > 4000
