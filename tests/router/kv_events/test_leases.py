"""One router listens to a worker; when it ends, another does, whatever another hand wrote."""

import asyncio

import pytest

from router.kv_events.leases import AT_ONCE, LIFE_MS, Alone, SharedLeases
from router.prefix.residency import Limits
from router.shared.keys import Keys
from tests.router.prefix.conftest import Clock, make_shared
from tests.router.shared.conftest import until
from tests.servers import RedisServer, binaries

KEYS = Keys("warmroute")
WORKERS = ["w1", "w2"]


async def test_a_router_alone_listens_to_all() -> None:
    assert await Alone().mine(WORKERS) == {"w1", "w2"}


@pytest.mark.parametrize("flavour", binaries())
async def test_one_of_two_routers_has_a_lease_and_the_other_its_succession(flavour: str) -> None:
    with RedisServer(flavour) as server, server.client() as client:
        link, index = make_shared(f"redis://127.0.0.1:{server.port}", "warmroute", Limits(), Clock())
        async with link, index:
            await until(lambda: link.connected)
            one, two = (SharedLeases(link, KEYS, name) for name in ("one", "two"))
            assert await one.mine(["w1"]) == {"w1"}
            assert await two.mine(WORKERS) == {"w2"}
            assert await one.mine(WORKERS) == {"w1"}
            assert 0 < client.pttl(f"{KEYS.events}w1") <= LIFE_MS
            client.delete(f"{KEYS.events}w1")  # its time is over
            assert await two.mine(WORKERS) == {"w1", "w2"}
            many = [f"x{number}" for number in range(2 * AT_ONCE + 1)]
            assert await one.mine(many) == set(many)


@pytest.mark.parametrize("flavour", binaries())
async def test_a_lease_of_another_kind_or_for_ever_is_taken_over(flavour: str) -> None:
    with RedisServer(flavour) as server, server.client() as client:
        link, index = make_shared(f"redis://127.0.0.1:{server.port}", "warmroute", Limits(), Clock())
        async with link, index:
            await until(lambda: link.connected)
            client.lpush(f"{KEYS.events}w1", "list")
            client.set(f"{KEYS.events}w2", "for ever")
            client.set(f"{KEYS.events}w3", "long", px=LIFE_MS * 100)
            assert await SharedLeases(link, KEYS, "one").mine(["w1", "w2", "w3"]) == {"w1", "w2", "w3"}


async def test_without_redis_this_router_listens_to_all() -> None:
    link, _ = make_shared("redis://127.0.0.1:1", "warmroute", Limits(), Clock())
    async with asyncio.timeout(10):
        assert await SharedLeases(link, KEYS, "one").mine(WORKERS) == {"w1", "w2"}
