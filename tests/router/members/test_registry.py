"""Whole routers on one real server: decisions reach all of them, and nothing else does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from router.dial.allow import read_rule
from router.fleet.worker_names import worker_id
from router.members.entry import Entry, Standing, read_entry, write_entry
from router.members.registry import SPREAD_S
from router.settings import Secret
from router.shared.keys import Keys
from router.shared.seal import Seal
from tests.engines import EngineThread
from tests.routers import RunningRouter, running_router
from tests.servers import RedisServer

ADMIN = {"x-warmroute-admin-key": "admin"}
SECRET = "index secret of the test"
URL = "http://127.0.0.9:9"
ID = worker_id(URL)
SEAL = Seal(SECRET.encode(), "warmroute", "registry")
KEY = Keys("warmroute").workers
HURRY_S = 3.0
"""Twice and more what is promised: the machine may be busy."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def routers(redis: RedisServer, *urls: str, count: int = 2, **changes: Any) -> AsyncIterator[list[RunningRouter]]:
    settings = {
        "redis": redis.url,
        "index_secret": Secret(SECRET),
        "worker_allow": (read_rule("127.0.0.0/8"),),
        **changes,
    }
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(running_router(*urls, **settings)) for _ in range(count)]
        for router in found:
            await until(lambda router=router: router.sharing.link.connected)  # type: ignore[misc]
        yield found


async def until(condition: Callable[[], bool], limit_s: float = HURRY_S) -> float:
    began = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def states(router: RunningRouter) -> dict[str, bool]:
    """Workers by id: are they draining?"""
    return {worker.id: worker.draining for worker in router.parts.fleet.workers.values()}


async def call(router: RunningRouter, method: str, path: str, expected: int = 200, **body: str) -> None:
    answer = await router.client.request(method, f"/admin/workers{path}", headers=ADMIN, json=body or None)
    assert answer.status_code == expected, answer.text


async def refused(router: RunningRouter, reason: str) -> float:
    return (await router.metrics()).get(f'warmroute_registry_entries_total{{outcome="{reason}"}}', 0)


def entry(standing: Standing = Standing.PRESENT, age_s: float = 0.0, url: str = URL, added: bool = True) -> Entry:
    at = time.time() - age_s
    return Entry(worker_id(url), url, standing, added, int(at * 1e6), int(at))


async def test_every_decision_is_everywhere_within_a_second(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        listed = worker_id(engine.url)
        async with routers(redis, engine.url, count=3) as (one, two, three):
            await call(one, "POST", "", 201, url=URL)
            took = await until(lambda: states(two) == states(three) == {listed: False, ID: False})
            assert took < SPREAD_S
            await call(two, "POST", f"/{ID}/drain")
            await until(lambda: states(one) == states(three) == {listed: False, ID: True})
            await call(three, "POST", f"/{ID}/undrain")
            await until(lambda: states(one) == states(two) == {listed: False, ID: False})
            await call(one, "POST", f"/{listed}/drain")
            await until(lambda: states(three) == {listed: True, ID: False})
            await call(two, "DELETE", f"/{ID}")
            await until(lambda: states(one) == states(three) == {listed: True})
            await call(three, "POST", "", 201, url=URL)
            await until(lambda: states(one) == states(two) == {listed: True, ID: False})


async def test_a_wiped_server_takes_nobody_away_and_brings_nobody_back(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        async with routers(redis, engine.url) as (one, two):
            other = "http://127.0.0.8:9"
            for url in (URL, other):
                await call(one, "POST", "", 201, url=url)
            await until(lambda: states(two).keys() >= {ID, worker_id(other)})
            await call(one, "DELETE", f"/{ID}")
            await until(lambda: ID not in states(two))
            kept = states(two)
            with redis.client() as client:
                old = client.hgetall(KEY)
                client.flushall()
                await until(lambda: set(client.hgetall(KEY)) == set(old))
                redis.kill()
                redis.start()
                await until(lambda: set(client.hgetall(KEY)) == set(old), 8)
            assert states(one) == states(two) == kept
        async with routers(redis, engine.url, count=1) as (late,):
            await until(lambda: worker_id(other) in states(late))
            assert states(late) == kept, "who starts later learns it too"


async def test_forged_replayed_and_malformed_entries_are_refused_and_put_right(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        async with routers(redis, engine.url) as (one, two):
            await call(one, "POST", "", 201, url=URL)
            await until(lambda: ID in states(two))
            with redis.client() as client:
                present = client.hget(KEY, ID)
                await call(one, "DELETE", f"/{ID}")
                await until(lambda: ID not in states(two))
                removed = client.hget(KEY, ID)
                bad = {
                    "replayed": (ID, present),
                    "forged": (ID, write_entry(Seal(b"another secret", "warmroute", "registry"), entry())),
                    "malformed": (ID, b"\x00\xff"),
                    "misplaced": ("w-0000000000", write_entry(SEAL, replace(entry(), worker="w-0000000000"))),
                    "future": (ID, write_entry(SEAL, entry(age_s=-3600))),
                    "not_allowed": (worker_id("http://10.9.9.9"), write_entry(SEAL, entry(url="http://10.9.9.9"))),
                }
                for reason, (worker, raw) in bad.items():
                    client.hset(KEY, worker, raw)
                    async with asyncio.timeout(HURRY_S):
                        while not await refused(one, reason) + await refused(two, reason):  # who looks first mends it
                            await asyncio.sleep(0.02)
                    if reason in ("replayed", "forged", "malformed"):
                        await until(lambda: client.hget(KEY, ID) == removed)
                    client.hdel(KEY, worker)
            assert states(one) == states(two) == {worker_id(engine.url): False}


async def test_a_router_that_missed_the_removal_does_not_bring_the_worker_back(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        async with routers(redis, engine.url) as (one, two):
            await call(one, "POST", "", 201, url=URL)
            await until(lambda: ID in states(two))
            with redis.client() as client:
                stale = client.hget(KEY, ID)
                await call(one, "DELETE", f"/{ID}")
                client.delete(KEY)
                signed_again = replace(read_entry(SEAL, ID, stale), stamp=int(time.time()) + 1)
                client.hset(KEY, ID, write_entry(SEAL, signed_again))
                await until(lambda: read_entry(SEAL, ID, client.hget(KEY, ID)).standing is Standing.REMOVED)
            await until(lambda: ID not in states(two))
            assert ID not in states(one)


async def test_what_the_settings_name_comes_back_with_a_restart_and_a_drain_stays(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine, EngineThread(model="m") as other:
        first, second = worker_id(engine.url), worker_id(other.url)
        async with routers(redis, engine.url, other.url) as (one, two):
            await call(one, "DELETE", f"/{first}")
            await call(one, "POST", f"/{second}/drain")
            await until(lambda: states(two) == {second: True})
        async with routers(redis, engine.url, other.url, count=1, ready=False) as (late,):
            await until(lambda: states(late) == {first: False, second: True})


async def test_what_the_settings_name_obeys_a_router_whose_clock_is_behind(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        async with routers(redis, engine.url, count=1) as (one,):
            await call(one, "POST", "", 201, url=URL)
            with redis.client() as client:
                await until(lambda: client.hexists(KEY, ID))
                removal = entry(Standing.REMOVED, age_s=60, url=engine.url, added=False)
                client.hset(KEY, removal.worker, write_entry(SEAL, removal))
            await until(lambda: states(one) == {ID: False})


async def test_a_removal_dated_ahead_is_no_younger_than_the_start(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        removal = entry(Standing.REMOVED, age_s=-60, url=engine.url, added=False)
        with redis.client() as client:
            client.hset(KEY, removal.worker, write_entry(SEAL, removal))
            client.hset(KEY, ID, write_entry(SEAL, entry()))
        async with routers(redis, engine.url, count=1) as (one,):
            await until(lambda: ID in states(one))
            assert removal.worker in states(one)


async def test_decisions_without_a_server_hold_here_and_spread_later(redis: RedisServer) -> None:
    with EngineThread(model="m") as engine:
        async with routers(redis, engine.url) as (one, two):
            redis.kill()
            await call(one, "POST", "", 201, url=URL)
            assert ID in states(one)
            redis.start()
            await until(lambda: ID in states(two), 8)
