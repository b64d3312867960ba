"""Limits hold for all routers together: several routers' clients on one real server, beat by beat."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.clients import Charge, Client, Clients
from router.clients.shared_use import GAP_S, IDLE_BEATS, SharedUse, number_of
from router.fleet.load_exchange import LoadExchange
from router.settings import Secret
from router.shared.keys import Keys
from router.shared.link import Link
from router.shared.publishing import HEAD
from router.shared.seal import Seal
from tests.engines import EngineThread
from tests.router.clients.clock import Clock
from tests.router.clients.files import table, write
from tests.router.shared.conftest import LIMITS, make_link
from tests.routers import chat, running_router
from tests.servers import RedisServer

KEYS = Keys("warmroute")
SEAL = Seal(b"secret", "warmroute", "use")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@dataclass(slots=True)
class One:
    """One router's part. Links and load run on the real clock, limits on the test's."""

    link: Link
    load: LoadExchange
    clients: Clients
    use: SharedUse

    @property
    def team(self) -> Client:
        return self.clients.all[0]

    def level(self) -> float:
        assert self.team.requests is not None
        return self.team.requests.level


@asynccontextmanager
async def fleet(server: RedisServer, path: Path, clock: Clock, count: int) -> AsyncIterator[list[One]]:
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            link = await stack.enter_async_context(make_link(server.url, LIMITS))
            load = LoadExchange(link, KEYS, f"router{number}", Seal(b"secret", "warmroute", "load"), time.monotonic)
            stack.callback(asyncio.create_task(load.run()).cancel)
            clients = Clients([], path, clock)
            found.append(One(link, load, clients, SharedUse(clients, load, (link, KEYS), SEAL, clock)))
        await until(lambda: all(one.link.connected and len(one.load.names) == count - 1 for one in found))
        await spread(found)
        yield found


async def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


async def spread(found: list[One]) -> None:
    """Everybody has told, and heard what the others told."""
    for _ in range(2 * IDLE_BEATS):
        for one in found:
            await one.use.beat()


def entered(one: One, count: int) -> int:
    """How many of so many requests are let in, and over at once."""
    let_in = [one.team.enter() is None for _ in range(count)]
    for _ in range(sum(let_in)):
        one.team.leave()
    return sum(let_in)


async def test_requests_are_counted_over_all_routers(server: RedisServer, tmp_path: Path) -> None:
    clock = Clock()
    path = write(tmp_path / "keys", table("team", "key", more="requests_per_minute = 60"))
    async with fleet(server, path, clock, 3) as (one, two, three):
        assert [entered(each, 20) for each in (one, two, three)] == [20, 20, 20]
        await spread([one, two, three])
        assert [each.level() for each in (one, two, three)] == [0, 0, 0]
        assert entered(one, 1) == 0
        clock.now += 3
        assert entered(two, 10) == 3


async def test_over_time_no_more_is_let_in_than_one_router_would(server: RedisServer, tmp_path: Path) -> None:
    clock = Clock()
    path = write(tmp_path / "keys", table("team", "key", more="requests_per_minute = 60"))
    async with fleet(server, path, clock, 3) as routers:
        total = 0
        for _ in range(120):
            clock.now += 1
            total += sum(entered(each, 5) for each in routers)
            for each in routers:
                await each.use.beat()
        assert 60 + 120 - 5 <= total <= 60 + 120 + 60, "what is saved up at first may be taken twice, and is owed then"


async def test_tokens_are_charged_and_given_back_everywhere(server: RedisServer, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("team", "key", more="uncached_tokens_per_minute = 1000"))
    async with fleet(server, path, Clock(), 2) as (one, two):
        charge = Charge(one.team)
        charge.set(1500)
        await spread([one, two])
        assert two.team.check_tokens() is not None
        charge.set(100)
        await spread([one, two])
        assert two.team.check_tokens() is None
        assert two.team.tokens is not None and two.team.tokens.level == 900


async def test_requests_at_once_are_counted_over_all_routers_that_live(server: RedisServer, tmp_path: Path) -> None:
    clock = Clock()
    path = write(tmp_path / "keys", table("team", "key", more="max_concurrency = 3"))
    async with fleet(server, path, clock, 2) as (one, two):
        assert [one.team.enter() for _ in range(2)] == [None, None]
        await spread([one, two])
        assert two.team.enter() is None
        refusal = two.team.enter()
        assert refusal is not None and refusal.reason == "concurrency"
        clock.now += GAP_S + 1
        await two.use.beat()
        assert two.team.enter() is None, "nothing was heard of the other one any more"


async def test_without_redis_each_goes_on_alone_and_nothing_is_charged_later(
    server: RedisServer, tmp_path: Path
) -> None:
    clock = Clock()
    path = write(tmp_path / "keys", table("team", "key", more="requests_per_minute = 60"))
    async with fleet(server, path, clock, 2) as (one, two):
        server.kill()
        await until(lambda: not (one.link.connected or two.link.connected))
        assert entered(one, 60) == 60
        clock.now += GAP_S + 1
        await spread([one, two])
        assert two.level() == 60
        server.start()
        async with asyncio.timeout(10):
            while not any(heard.at == clock.now for heard in two.use._heard.values()):
                await spread([one, two])
                await asyncio.sleep(0.01)
        assert two.level() == 60
        assert entered(one, 3) == 3
        await spread([one, two])
        assert two.level() == 57


def string(router: str, number: int, rows: dict[int, tuple[int, int, int]], at_ms: int, seal: Seal = SEAL) -> bytes:
    return seal.write(router.encode(), HEAD.pack(at_ms, number) + msgspec.msgpack.encode(rows))


async def test_forged_and_old_strings_charge_nobody(server: RedisServer, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("team", "key", more="requests_per_minute = 60"))
    async with fleet(server, path, Clock(), 2) as (one, two):
        entered(one, 10)
        await spread([one, two])
        number, name = number_of(SEAL, "team"), one.load.name
        now_ms = two.load.now_ms()
        assert now_ms is not None
        with server.client() as client:
            old = client.get(KEYS.use(name))
            bad = [
                string(name, 99, {number: (60, 0, 9)}, now_ms, Seal(b"other", "warmroute", "use")),
                string(name, 99, {number: (60, 0, 9)}, now_ms, Seal(b"secret", "warmroute", "load")),
                string("router7", 99, {number: (60, 0, 9)}, now_ms),
                string(name, 99, {number: (60, 0, 9)}, now_ms - 60_000),
                string(name, 1, {number: (60, 0, 9)}, now_ms),
                *(b"", b"x" * 50, b"x" * 500_000, old),
            ]
            for raw in bad:
                client.set(KEYS.use(name), raw)
                for _ in range(IDLE_BEATS):
                    await two.use.beat()
                assert two.level() == 50
            client.set(KEYS.use(name), string(name, 99, {number: (11, 0, 0), 7: (1, 1, 1)}, now_ms))
            for _ in range(IDLE_BEATS):
                await two.use.beat()
            assert two.level() == 49


async def test_labels_and_keys_are_not_in_redis(server: RedisServer, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("team-rocket", "key", more="requests_per_minute = 60"))
    async with fleet(server, path, Clock(), 1) as (one,):
        entered(one, 1)
        await spread([one])
        with server.client() as client:
            await until(lambda: bool(client.exists(KEYS.use(one.load.name))))
            assert b"rocket" not in client.get(KEYS.use(one.load.name))
            assert 0 < client.ttl(KEYS.use(one.load.name)) <= 10


async def test_two_routers_answer_429_as_one(server: RedisServer, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", table("team", "key", more="requests_per_minute = 4"))
    settings: dict[str, Any] = {"redis": server.url, "index_secret": Secret("s" * 32), "keys_file": str(path)}
    headers = {"authorization": "Bearer key"}
    with EngineThread(model="m") as engine:
        async with (
            running_router(engine.url, **settings) as one,
            running_router(engine.url, **settings) as two,
        ):
            uses = [each.parts.shared_use for each in (one, two)]
            await until(lambda: all(use is not None and use._heard for use in uses))
            for router in (one, two, one, two):
                answer = await router.client.post("/v1/chat/completions", json=chat(model="m"), headers=headers)
                assert answer.status_code == 200
            buckets = [each.parts.clients.all[0].requests for each in (one, two)]
            await until(lambda: all(bucket is not None and bucket.level < 1 for bucket in buckets))
            answer = await two.client.post("/v1/chat/completions", json=chat(model="m"), headers=headers)
            assert answer.status_code == 429
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
