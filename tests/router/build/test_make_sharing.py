"""Two whole routers on one Redis: what one learned the other uses, and nothing of a prompt is in Redis."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from router.settings import Secret
from tests.engines import EngineThread, quick_profile
from tests.router.shared.conftest import until
from tests.routers import MODEL, RunningRouter, chat, running_router
from tests.servers import RedisServer

SECRET = Secret("a secret of all routers")
WORDS = "the quick brown fox jumps over the lazy dog and runs far away from here "


@asynccontextmanager
async def two_routers(server: RedisServer, workers: list[str], **more: Any) -> AsyncIterator[list[RunningRouter]]:
    settings = {"redis": server.url, "index_secret": SECRET, "redis_timeout_ms": 500.0, "block_tokens": 16, **more}
    async with running_router(*workers, **settings) as one, running_router(*workers, **settings) as two:
        await until(lambda: all(router.sharing.link.responsive for router in (one, two)))
        yield [one, two]


async def ask(router: RunningRouter, content: str, **more: Any) -> None:
    answer = await router.client.post("/v1/chat/completions", json=chat(content, **more))
    assert answer.status_code == 200, answer.text
    await router.settles()


async def cached(router: RunningRouter, content: str) -> int:
    """The most that the router believes any worker has of it."""
    headers = {"authorization": "Bearer admin"}
    answer = await router.client.post("/admin/explain", json=chat(content), headers=headers)
    assert answer.status_code == 200, answer.text
    return max(int(candidate["cached_tokens"]) for candidate in answer.json()["candidates"])


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def workers() -> Any:
    with (
        EngineThread(model=MODEL, speed=20.0, profile=quick_profile(max_model_len=65536)) as first,
        EngineThread(model=MODEL, speed=20.0, profile=quick_profile(max_model_len=65536)) as second,
    ):
        yield [first.url, second.url]


async def test_what_one_router_learned_the_other_uses(own_server: RedisServer, workers: list[str]) -> None:
    async with two_routers(own_server, workers) as (one, two):
        assert await cached(one, WORDS * 40) == 0
        await ask(one, WORDS * 40)
        assert await cached(two, WORDS * 40 + "more") > 500
        metrics = await two.metrics()
        assert metrics["warmroute_redis_up"] == 1
        assert not any(name.startswith("warmroute_index_fallbacks") for name in metrics)


async def test_without_redis_requests_go_on_by_what_the_router_knows(
    own_server: RedisServer, workers: list[str]
) -> None:
    async with two_routers(own_server, workers) as (one, two):
        await ask(one, WORDS * 40)
        assert await cached(two, WORDS * 40) > 500
        own_server.kill()
        for router in (one, two):
            assert await cached(router, WORDS * 40) > 500, "the other one's was learned, too"
        assert (await two.metrics())['warmroute_index_fallbacks_total{reason="redis_down"}'] >= 1
        own_server.start()
        await until(lambda: two.sharing.link.responsive)
        await until(lambda: two.sharing.upkeep.restored > 0)
        await two.settles()
        assert any(b":s:" in key for key in everything(own_server)), "an emptied Redis is told again"


def everything(server: RedisServer) -> dict[bytes, bytes]:
    """All keys with all of their values."""
    with server.client() as client:
        found = {}
        for key in client.keys("*"):
            kind = client.type(key)
            if kind == b"hash":
                value = b"|".join(part for pair in client.hgetall(key).items() for part in pair)
            elif kind == b"zset":
                value = b"|".join(member for member, _ in client.zrange(key, 0, -1, withscores=True))
            elif kind == b"stream":
                value = b"|".join(part for _, words in client.xrange(key) for pair in words.items() for part in pair)
            else:
                value = client.get(key)
            assert client.ttl(key) > 0 or client.pttl(key) > 0, key
            found[key] = value
        return found


async def test_nothing_of_a_prompt_is_in_redis(own_server: RedisServer, workers: list[str]) -> None:
    async with two_routers(own_server, workers) as (one, two):
        await ask(one, WORDS * 40)
        await ask(two, WORDS * 41)
        stored = everything(own_server)
    assert any(re.match(rb"\{warmroute\}:2:s:", key) for key in stored)
    whole = b"".join(key + value for key, value in stored.items())
    for secret in (b"quick", b"brown", MODEL.encode() + b"/", SECRET.value.encode(), b"127.0.0.1"):
        assert secret not in whole
    text = (WORDS * 40).encode()
    ids = [int.from_bytes(text[at : at + 4], "little") for at in range(8)]
    for number in ids:
        assert number.to_bytes(4, "little") not in whole and number.to_bytes(4, "big") not in whole
    nodes = {key for key in stored if b":s:" in key}
    async with two_routers(own_server, workers, index_secret=Secret("another secret")) as (three, _):
        await ask(three, WORDS * 40)
        fresh = {key for key in everything(own_server) if b":s:" in key} - nodes
        assert len(fresh) == len(nodes) > 0, "with another secret each key is another"
        await until(lambda: three.parts.link_counters.secret_differs)


async def test_two_tenants_share_no_key(own_server: RedisServer, workers: list[str]) -> None:
    def nodes() -> dict[bytes, bytes]:
        return {key: value for key, value in everything(own_server).items() if b":s:" in key}

    async with two_routers(own_server, workers) as (one, two):
        await ask(one, WORDS * 40, cache_salt="tenant-a")
        first = nodes()
        await ask(two, WORDS * 40, cache_salt="tenant-b")
        both = nodes()
    assert first and len(both) == 2 * len(first)
    assert {key: both[key] for key in first} == first, "the second tenant has changed nothing of the first one's"
