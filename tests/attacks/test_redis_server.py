"""A server that is no Redis, or a broken one: the router goes on without it, and holds no more than the bounds."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from router.settings import Secret
from router.shared.reader import MAX_REPLY_BYTES
from tests.attacks.redis_site import WORDS
from tests.engines import EngineThread
from tests.router.shared.conftest import until
from tests.routers import MODEL, chat, running_router

PONG = b"+PONG\r\n"
NONSENSE = {
    "giant string": b"$99999999999\r\n",
    "long string": b"$%d\r\n" % MAX_REPLY_BYTES + b"x" * (1 << 20),
    "giant list": b"*4294967295\r\n",
    "lists in lists": b"*1\r\n" * 100_000,
    "wide lists in lists": b"*20000\r\n" * 1000,
    "endless line": b"+" + b"x" * (1 << 20),
    "endless error": b"-ERR " + b"x" * (1 << 20),
    "no number": b":1e9\r\n",
    "negative length": b"$-7\r\n",
    "map": b"%1\r\n+a\r\n+b\r\n",
    "push": b">2\r\n+a\r\n+b\r\n",
    "null of RESP3": b"_\r\n",
    "double": b",1.5\r\n",
    "HTTP": b"HTTP/1.1 200 OK\r\n\r\n",
    "noise": bytes(range(256)) * 100,
    "unasked": PONG * 10_000,
}
WRONG = {
    "number": b":-7\r\n",
    "huge number": b":9223372036854775807\r\n",
    "bytes": b"$4\r\n\xff\xfe\x00\x01\r\n",
    "nothing": b"$-1\r\n",
    "status": b"+OK\r\n",
    "no list": b"*-1\r\n",
    "empty list": b"*0\r\n",
    "list of anything": b"*4\r\n:-1\r\n$2\r\n\xff\xfe\r\n$-1\r\n*1\r\n*0\r\n",
    "list of large": b"*3\r\n:9223372036854775807\r\n:9223372036854775807\r\n$3\r\nabc\r\n",
    "error": b"-WRONGTYPE no\r\n",
    "script is unknown": b"-NOSCRIPT no\r\n",
    "error that is none": b"-\r\n",
}


@pytest.fixture(autouse=True)
def nothing_went_wrong_inside() -> None:
    """Instead of the other suites': here a router has to say that another index secret is in use."""


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Greets like a Redis; whatever else it is asked, it says the next of `answers`, or all of them at once if there is
    one. Gives its URL, and a count of what it was asked."""
    asked = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns = itertools.cycle(answers)
        try:
            while data := await reader.read(1 << 16):
                for words in data.split(b"\r\n*"):
                    asked[0] += 1
                    writer.write(PONG if b"PING" in words else next(turns))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def serves(url: str, asked: list[int]) -> dict[str, float]:
    """A router on this server answers. Returns its metrics."""
    settings: dict[str, Any] = {"redis": url, "index_secret": Secret("s" * 32), "block_tokens": 16}
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, **settings) as router:
            await until(lambda: asked[0] > 3)
            for number in range(6):
                answer = await router.client.post("/v1/chat/completions", json=chat(WORDS * 20 * number, max_tokens=2))
                assert answer.status_code == 200, answer.text
                await asyncio.sleep(0.05)
            wire = router.sharing.link._wire
            assert wire is None or wire._reader._held <= MAX_REPLY_BYTES
            metrics = await router.metrics()
            assert not router.leases
            return metrics


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_ends_the_connection_and_nothing_else(name: str) -> None:
    async with server(NONSENSE[name]) as (url, asked):
        metrics = await serves(url, asked)
    refused = metrics.get('warmroute_redis_values_refused_total{kind="reply"}', 0)
    assert refused or name == "long string", "that is waited for, to its end"
    assert not [each for each in metrics if each.startswith("warmroute_background_restarts")]


async def test_answers_of_a_wrong_kind_to_every_command_are_misses() -> None:
    """All of them, in an order that gives each command each of them in time."""
    async with server(*WRONG.values(), b":1\r\n") as (url, asked):
        metrics = await serves(url, asked)
    assert metrics['warmroute_redis_values_refused_total{kind="index"}'] > 0
    assert not [each for each in metrics if each.startswith("warmroute_background_restarts")]
