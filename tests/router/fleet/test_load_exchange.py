"""Several routers' load through a real server: what each sees, and that it returns to zero, whatever happens."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from router.fleet import load_exchange as exchange
from router.fleet.lease import Lease
from router.fleet.load_exchange import LoadExchange
from router.fleet.others import LIFE_S, NOTHING
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.shared.keys import Keys
from router.shared.link import Link
from router.shared.seal import Seal
from tests.router.fleets import facts, make_worker
from tests.router.shared.conftest import LIMITS, make_link, until
from tests.servers import RedisServer

KEYS = Keys("test")
SEAL = Seal(b"secret", "test", "load")


class OneRouter:
    """What of a router matters here: its fleet and its end of the exchange."""

    def __init__(self, link: Link, name: str, workers: int) -> None:
        self.link = link
        self.load = LoadExchange(link, KEYS, name, SEAL, time.monotonic)
        self.fleet = Fleet(self._make, asyncio.get_running_loop().call_soon, PrefillRates(8000.0))
        self.fleet.on_groups.append(lambda: self.load.list_workers(self.fleet.workers.values()))
        for number in range(workers):
            worker = self.fleet.add(f"http://w{number}:8000")
            self.fleet.on_facts(worker.id, facts())
            self.fleet.on_healthy(worker.id)
        self.leases: list[Lease] = []
        self.task = asyncio.create_task(self.load.run())

    async def crash(self) -> None:
        """Its process is gone: it says nothing more, and takes nothing back."""
        self.task.cancel()
        await self.link.__aexit__(None, None, None)

    def _make(self, url: str, *, rank: int = 0) -> Worker:
        worker = make_worker(url, rank=rank)
        self.load.attach(worker)
        return worker

    @property
    def workers(self) -> list[Worker]:
        return list(self.fleet.workers.values())

    def begin(self, place: int, prompt: int = 1000, uncached: int = 1000) -> Lease:
        lease = Lease(self.workers[place], prompt, uncached).__enter__()
        self.leases.append(lease)
        return lease

    def end(self, lease: Lease) -> None:
        self.leases.remove(lease)
        lease.__exit__(None, None, None)

    def seen(self, place: int) -> tuple[int, int]:
        """Requests and held tokens of all routers on one worker."""
        worker = self.workers[place]
        assert worker.elsewhere is not None
        others = worker.elsewhere(time.monotonic())
        return worker.running.in_flight + others.in_flight, worker.running.held_tokens + others.held_tokens

    async def look(self) -> None:
        """As a request would."""
        reading = self.load.refresh()
        if reading is not None:
            await asyncio.wait((reading,))


@asynccontextmanager
async def routers(server: RedisServer, count: int, workers: int = 3) -> AsyncIterator[list[OneRouter]]:
    """So many routers, which know each other."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            link = await stack.enter_async_context(make_link(server.url, LIMITS))
            router = OneRouter(link, f"router{number}", workers)
            stack.callback(router.task.cancel)
            found.append(router)
        await all_see(found, lambda router: router.load.routers == count)
        yield found


async def all_see(found: list[OneRouter], condition: Callable[[OneRouter], bool], limit_s: float = 8) -> None:
    async with asyncio.timeout(limit_s):
        while not all(condition(router) for router in found):
            for router in found:
                await router.look()
            await asyncio.sleep(0.005)


async def test_each_sees_what_all_have(server: RedisServer) -> None:
    async with routers(server, 3) as (one, two, three):
        lease = one.begin(0)
        two.begin(0, prompt=500)
        two.begin(1)
        await all_see([one, two, three], lambda router: router.seen(0) == (2, 1500) and router.seen(1) == (1, 1000))
        one.end(lease)
        await all_see([one, two, three], lambda router: router.seen(0) == (1, 500))
        for lease in list(two.leases):
            two.end(lease)
        await all_see([one, two, three], lambda router: router.seen(0) == router.seen(1) == (0, 0))


async def test_the_least_loaded_are_those_of_all_routers(server: RedisServer) -> None:
    async with routers(server, 2) as (one, two):
        two.begin(0)
        two.begin(0)
        two.begin(1)
        order = one.fleet.everyone.order
        await all_see([one], lambda router: [w.ordered_load for w in order.lowest(3)] == [0, 1, 2])
        assert order.lowest(3) == [one.workers[2], one.workers[1], one.workers[0]]
        for lease in list(two.leases):
            two.end(lease)
        await all_see([one], lambda router: {w.ordered_load for w in order.lowest(3)} == {0})


async def test_what_others_queued_is_before_ones_own(server: RedisServer) -> None:
    async with routers(server, 2) as (one, two):
        two.begin(0, prompt=16_000, uncached=16_000)
        await all_see([one], lambda router: router.seen(0)[0] == 1)
        one.begin(0, prompt=8000, uncached=8000)
        now = time.monotonic()
        worker = one.workers[0]
        assert worker.elsewhere is not None
        assert worker.running.ahead(now + 0.5, worker.prefill_rate) == 8000, (
            "it waits while the other's prompt is computed"
        )
        assert 13_000 < worker.running.ahead(now, worker.prefill_rate) + worker.elsewhere(now).queued_tokens <= 24_000


async def test_a_dead_router_and_a_gone_server_are_forgotten(own_server: RedisServer) -> None:
    async with routers(own_server, 3) as found:
        one, two, three = found
        two.begin(0)
        three.begin(0)
        await all_see([one], lambda router: router.seen(0)[0] == 2)
        await two.crash()
        await all_see([one], lambda router: router.seen(0)[0] == 1, LIFE_S + exchange.BEAT_S + 0.5)
        one.begin(0)
        own_server.kill()
        await all_see([one], lambda router: router.seen(0)[0] == 1, LIFE_S + exchange.BEAT_S + 0.5)
        own_server.start()
        await all_see([one], lambda router: router.seen(0)[0] == 2 and router.load.routers == 2)


async def test_a_router_that_ends_takes_its_part_with_it(server: RedisServer) -> None:
    async with routers(server, 2) as (one, two):
        two.begin(0)
        await all_see([one], lambda router: router.seen(0)[0] == 1)
        await two.load.leave()
        await one.look()
        assert one.seen(0)[0] == 0


async def test_a_server_with_another_clock_changes_nothing(own_server: RedisServer) -> None:
    """Stamps are the server's own: a minute of skew between routers is not even seen. Here stamps are in the past."""
    async with routers(own_server, 2) as (one, two):
        with own_server.client() as client:
            client.zadd(KEYS.routers, {"router1": 1, "long dead": 1})
        two.begin(0)
        await all_see([one], lambda router: router.seen(0)[0] == 1)


async def test_nothing_waits_for_a_frozen_server(own_server: RedisServer) -> None:
    async with routers(own_server, 2) as (one, two):
        own_server.freeze()
        try:
            began = time.monotonic()
            await one.look()
            assert time.monotonic() - began < LIMITS.ask_s + 0.2
            two.begin(0)
        finally:
            own_server.thaw()
        await all_see([one], lambda router: router.seen(0)[0] == 1)


@pytest.mark.parametrize("seed", range(2))
async def test_the_fleets_sum_returns_to_zero(own_server: RedisServer, seed: int) -> None:
    """After any mix of leases, first bytes, ends, a flushed and a restarted server, and a crashed router."""
    rng = random.Random(seed)
    async with routers(own_server, 3) as found:
        for step in range(120):
            router = rng.choice(found)
            kind = rng.random()
            if kind < 0.5 or not router.leases:
                router.begin(rng.randrange(3), rng.randrange(1, 5000), rng.randrange(5000))
            elif kind < 0.6:
                rng.choice(router.leases).first_byte()
            else:
                router.end(rng.choice(router.leases))
            if step == 40:
                with own_server.client() as client:
                    client.flushall()
            if step == 80:
                own_server.kill()
                own_server.start()
            if rng.random() < 0.3:
                await router.look()
            await asyncio.sleep(rng.random() * 0.004)
        crashed = found.pop()
        await crashed.crash()
        for router in found:
            for lease in list(router.leases):
                router.end(lease)
        await all_see(found, lambda router: all(router.seen(place) == (0, 0) for place in range(3)), LIFE_S + 4)
        for router in found:
            assert all(w.ordered_load == 0 for w in router.workers) or await _settled(router)
            assert all(w.elsewhere and w.elsewhere(time.monotonic()) == NOTHING for w in router.workers)


async def _settled(router: OneRouter) -> bool:
    await until(lambda: all(worker.ordered_load == 0 for worker in router.workers), 3)
    return True


async def test_forged_and_replayed_parts_count_nothing(own_server: RedisServer) -> None:
    async with routers(own_server, 2) as (one, two):
        lease = two.begin(0)
        await all_see([one], lambda router: router.seen(0)[0] == 1)
        with own_server.client() as client:
            old = client.get(KEYS.load("router1"))
            two.end(lease)
            await all_see([one], lambda router: router.seen(0)[0] == 0)
            own = client.get(KEYS.load("router0"))
            for raw in (old, own, b"", b"x" * 500_000, Seal(b"other", "test", "load").write(b"router1", old[16:])):
                client.set(KEYS.load("router1"), raw)
                one.load._read_at = 0.0
                await one.look()
                assert one.seen(0)[0] == 0
            assert one.link.counters.refused.values[("load_old",)] >= 1
            now = client.time()
            for number in range(300):
                client.zadd(KEYS.routers, {f"fake{number}": now[0] * 1000}, nx=True)
                client.set(KEYS.load(f"fake{number}"), old)
            client.zadd(KEYS.routers, {b"\xff\xfe": 1e18, "x" * 100: now[0] * 1000})
        await all_see([one, two], lambda router: router.load.routers == 2 and router.seen(0)[0] == 0)
        two.begin(1)
        await all_see([one], lambda router: router.seen(1)[0] == 1)
