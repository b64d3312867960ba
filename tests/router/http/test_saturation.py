"""Saturated workers over real sockets: who waits where, for how long, and that nothing is left behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.engines import EngineThread, quick_profile
from tests.router.clients.files import table, write
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT
from tests.routers import MODEL, RunningRouter, chat, running_router

RATE = 8000
"""Tokens per second that the engine prefills."""
TOKENS = 800
"""Of a prompt: 0.1 s of prefill."""
SLOW = quick_profile(prefill_rate=RATE, step_tokens=TOKENS)


@asynccontextmanager
async def site(**settings: Any) -> AsyncIterator[tuple[RunningRouter, EngineThread]]:
    limits = {"prefill_rate": float(RATE), "saturation_wait_s": 0.15, "queue_timeout_s": 20.0, **settings}
    with EngineThread(model=MODEL, profile=SLOW) as engine:
        async with running_router(engine.url, **limits) as router:
            yield router, engine


def prompt(number: int, **more: Any) -> dict[str, Any]:
    return chat(f"{number:04} " + "word " * (TOKENS * 4 // 5 - 8), stream=True, max_tokens=1, **more)


async def ask(router: RunningRouter, number: int, **more: Any) -> httpx.Response:
    return await router.client.post(CHAT, json=prompt(number), **more)


async def most_at_engine(engine: EngineThread, until: "asyncio.Future[Any]") -> int:
    """The most requests that the engine had at once."""
    most = 0
    while not until.done():
        state = await asyncio.to_thread(engine.state)
        most = max(most, state["running"] + state["waiting"])
        await asyncio.sleep(0.02)
    return most


async def test_a_burst_waits_in_the_router_and_not_at_the_worker() -> None:
    async with site() as (router, engine):
        burst = asyncio.gather(*(ask(router, number) for number in range(20)))
        assert await most_at_engine(engine, burst) <= 5
        assert {answer.status_code for answer in await burst} == {200}
        await router.settles()
        assert len(router.parts.waiting_room) == 0
        metrics = await router.metrics()
        assert metrics['warmroute_queue_wait_seconds_count{client="anonymous",reason="saturated"}'] >= 14
        assert metrics["warmroute_queue_depth"] == 0
        waited = metrics['warmroute_queue_wait_seconds_sum{client="anonymous",reason="saturated"}']
        assert metrics["warmroute_overhead_seconds_sum"] < waited / 4, "waiting is no overhead of the router's"


async def test_without_the_queue_all_go_to_the_worker() -> None:
    async with site(saturation_wait_s=0.0) as (router, engine):
        burst = asyncio.gather(*(ask(router, number) for number in range(20)))
        assert await most_at_engine(engine, burst) >= 12
        assert {answer.status_code for answer in await burst} == {200}


async def test_who_has_waited_long_enough_is_told_to_come_back() -> None:
    async with site(queue_timeout_s=0.3) as (router, engine):
        answers = await asyncio.gather(*(ask(router, number) for number in range(30)))
        refused = [answer for answer in answers if answer.status_code == 503]
        assert 15 <= len(refused) <= 28
        assert {answer.json()["error"]["code"] for answer in refused} == {"queue_timeout"}
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        before = [int(answer.headers["x-warmroute-in-line"]) for answer in refused]
        assert len(set(before)) > 1 and min(before) >= 0
        told = zip(refused, before, strict=True)
        assert all(answer.json()["error"]["message"].endswith(f"before this one: {n}.") for answer, n in told)
        await router.settles()
        assert engine.state()["requests"] == 30 - len(refused)
        metrics = await router.metrics()
        name = 'warmroute_client_refusals_total{client="anonymous",reason="queue_timeout"}'
        assert metrics[name] == len(refused)


async def test_the_queue_is_bounded() -> None:
    async with site(queue_share=4 / 4096) as (router, _):
        answers = await asyncio.gather(*(ask(router, number) for number in range(20)))
        full = [answer for answer in answers if answer.status_code == 503]
        assert {answer.json()["error"]["code"] for answer in full} == {"queue_full"}
        assert {answer.headers["x-warmroute-in-line"] for answer in full} == {"4"}
        assert 10 <= len(full) <= 15


async def test_clients_that_leave_the_queue_are_never_seen_by_a_worker() -> None:
    async with site() as (router, engine):
        long = chat("word " * (24_000 * 4 // 5), stream=True, max_tokens=1)
        first = asyncio.create_task(router.client.post(CHAT, json=long))
        await arrived(router, 1)
        for number in range(10):
            async with wire(router.port) as client:
                await client.send(post(CHAT, prompt(number)))
                await queued(router, 1)
            async with asyncio.timeout(5):
                while router.parts.waiting_room:
                    await asyncio.sleep(0.002)
        assert not first.done(), "the worker was busy all the time"
        told = await router.client.post("/admin/explain", json=prompt(99), headers={"x-warmroute-admin-key": "admin"})
        assert told.json()["candidates"][0]["wait_s"] > router.parts.waiting_room.limits.bound_s
        assert (await first).status_code == 200
        await router.settles()
        assert engine.state()["requests"] == 1
        metrics = await router.metrics()
        gone = [value for name, value in metrics.items() if "client_requests" in name and "client_gone" in name]
        assert gone == [10]


async def queued(router: RunningRouter, least: int) -> None:
    async with asyncio.timeout(5):
        while len(router.parts.waiting_room) < least:
            await asyncio.sleep(0.002)


async def arrived(router: RunningRouter, count: int) -> None:
    async with asyncio.timeout(5):
        workers, waiting_room = router.parts.fleet.workers, router.parts.waiting_room
        while sum(worker.running.in_flight for worker in workers.values()) + len(waiting_room) < count:
            await asyncio.sleep(0.002)


async def test_a_light_client_is_not_starved_by_a_heavy_one(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys", table("heavy", "key-h"), table("light", "key-l"))
    heavy, light = {"authorization": "Bearer key-h"}, {"authorization": "Bearer key-l"}
    async with site(keys_file=str(keys)) as (router, _):
        flood = [asyncio.create_task(ask(router, number, headers=heavy)) for number in range(25)]
        await queued(router, 20)
        few = await asyncio.gather(*(ask(router, 100 + number, headers=light) for number in range(3)))
        assert {answer.status_code for answer in few} == {200}
        assert sum(task.done() for task in flood) <= 10, "three of its own go while about three of the flood's do"
        assert {(await task).status_code for task in flood} == {200}


async def test_batch_work_goes_after_a_clients_other_requests() -> None:
    async with site() as (router, _):
        ended: list[str] = []

        async def one(number: int, said: str) -> None:
            await ask(router, number, headers={"x-warmroute-priority": said})
            ended.append(said)

        batch = [asyncio.create_task(one(number, "batch")) for number in range(12)]
        await queued(router, 6)
        others = [asyncio.create_task(one(100 + number, "interactive")) for number in range(4)]
        await asyncio.gather(*batch, *others)
        assert "interactive" not in ended[-4:]


async def test_nobody_waits_behind_a_prompt_that_can_never_fit() -> None:
    async with site() as (router, _):
        answering = asyncio.create_task(router.client.post(CHAT, json=chat("x", stream=True, max_tokens=100_000)))
        await arrived(router, 1)
        (worker,) = router.parts.fleet.workers.values()
        await router.client.post(CHAT, json=chat("word " * 2 * worker.pool.capacity_tokens, max_tokens=1))
        assert (await ask(router, 1)).status_code == 200
        assert not any("queue_wait_seconds_count" in name for name in await router.metrics())
        assert not answering.done()
        answering.cancel()


async def test_a_drain_finishes_those_who_wait() -> None:
    async with site(drain_timeout_s=20) as (router, engine):
        burst = asyncio.gather(*(ask(router, number) for number in range(10)))
        await arrived(router, 10)
        router.parts.server.should_exit = True
        assert {answer.status_code for answer in await burst} == {200}
        assert engine.state()["requests"] == 10


async def test_a_drain_that_is_over_ends_those_who_wait_with_an_error() -> None:
    async with site(drain_timeout_s=1) as (router, engine):
        burst = asyncio.gather(*(ask(router, number) for number in range(20)))
        await arrived(router, 20)
        router.parts.server.should_exit = True
        statuses = [answer.status_code for answer in await burst]
        assert set(statuses) == {200, 503}
        assert len(router.parts.waiting_room) == 0
        assert engine.state()["requests"] < 20


async def test_a_worker_that_comes_while_they_wait_takes_them() -> None:
    async with site() as (router, engine):
        with EngineThread(model=MODEL, profile=SLOW) as second:
            burst = asyncio.gather(*(ask(router, number) for number in range(24)))
            await queued(router, 15)
            router.parts.members.membership.join(second.url, "admin")
            assert {answer.status_code for answer in await burst} == {200}
            assert second.state()["requests"] >= 5
            assert engine.state()["requests"] + second.state()["requests"] == 24


async def test_a_worker_that_goes_while_they_wait_ends_the_wait() -> None:
    async with site() as (router, engine):
        burst = asyncio.gather(*(ask(router, number) for number in range(12)))
        await queued(router, 6)
        (worker,) = router.parts.fleet.workers
        router.parts.fleet.drain(worker)
        answers = await burst
        assert {answer.status_code for answer in answers} == {200, 503}
        assert all(json.loads(a.content)["error"]["code"] == "no_worker" for a in answers if a.status_code == 503)
        assert engine.state()["requests"] == sum(answer.status_code == 200 for answer in answers)
