"""Clients that leave: at any moment, in any way, every lease ends and every worker's request is aborted at once."""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from router.fleet.breaker import BreakerState
from tests.engines import EngineThread
from tests.router.http.raw import Wire, post, wire
from tests.router.http.site import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Site
from tests.routers import MODEL, RunningRouter, chat, running_router
from tests.tokenizer_cache.small import CHATML, small_raw

Way = Literal["close", "half-close", "reset"]
WAYS: tuple[Way, ...] = ("close", "half-close", "reset")
CLIENTS = 200
ARRIVING_S = 1.5
PATIENCE_S = 0.6
"""The longest that a client stays before it leaves."""


async def leave(client: Wire, way: Way) -> None:
    """Be gone. Who half-closes could still read, and sees the connection closed."""
    if way == "half-close":
        client.writer.write_eof()
        async with asyncio.timeout(2):
            await _to_the_end(client)
    elif way == "reset":
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
    else:
        client.writer.close()


async def _to_the_end(client: Wire) -> None:
    try:
        while await client.reader.read(65536):
            pass
    except ConnectionError:
        pass


async def nothing_left(router: RunningRouter, *engines: EngineThread) -> None:
    """No lease, request, body, time limit or pending record at the router; nothing running at the workers."""
    await router.settles(3)
    assert not router.parts.watchdog._watches
    assert router.parts.tree.residency.pendings == 0
    assert all(worker.breaker.state is BreakerState.CLOSED for worker in router.parts.fleet.workers.values())
    for engine in engines:
        state = await engine.settles(3, running=0, waiting=0)
        assert state["aborted"] + state["finished"] == state["requests"]


# One by one --------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["hang_headers", "hang_after", "hang_before"])
@pytest.mark.parametrize("requests", [1, 3], ids=["one", "pipelined"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_that_leaves_aborts_its_request(
    site: Site, way: Way, fault: str, requests: int, stream: bool
) -> None:
    before = site.engine.state()
    site.engine.fault(fault, count=1, after_chunks=1 if stream else 0)
    async with wire(site.router.port) as client:
        await client.send(post(CHAT, chat("hello", stream=stream, max_tokens=400)) * requests)
        await site.engine.settles(2, faults_struck=before["faults_struck"] + 1)
        if fault == "hang_after" and stream:
            assert (await client.head())[0] == 200
        assert site.router.leases == 1
        await leave(client, way)
    await site.router.settles(2)
    await site.engine.settles(2, departures=before["departures"] + 1, running=0, waiting=0)
    await site.unharmed()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_leaves_after_a_long_upload_is_seen(site: Site, way: Way) -> None:
    """uvicorn stops reading while more than 64 KiB of a body wait, and read no more when those were the last."""
    data = post(CHAT, chat("x" * 300_000))
    before = site.engine.state()
    site.engine.fault("hang_before", count=1)
    async with wire(site.router.port) as client:
        await client.send(data[:1000])
        await asyncio.sleep(0.02)
        await client.send(data[1000:])
        await site.engine.settles(2, faults_struck=before["faults_struck"] + 1)
        await leave(client, way)
    await site.router.settles(2)
    await site.engine.settles(2, departures=before["departures"] + 1)
    await site.unharmed()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.999])
async def test_a_client_that_leaves_while_it_sends_troubles_no_worker(site: Site, way: Way, part: float) -> None:
    data = post(CHAT, chat("x" * 300_000))
    before = site.engine.state()["requests"]
    async with wire(site.router.port) as client:
        await client.send(data[: int(len(data) * part)])
        await leave(client, way)
    await site.router.settles(2)
    assert site.engine.state()["requests"] == before
    await site.unharmed()


# All at once -------------------------------------------------------------------------------------------------------


def a_request(rng: random.Random) -> bytes:
    """Any API, streaming or not, new or shared prompts, short or long."""
    text = rng.choice(["hello", "shared " * 2_000, f"new {rng.random()} " * rng.choice([1, 20, 600])])
    said = [{"role": "user", "content": text}]
    limit: dict[str, object] = {"model": MODEL, "stream": rng.random() < 0.6, "max_tokens": rng.choice([1, 8, 100])}
    bodies: dict[str, dict[str, object]] = {
        CHAT: {"messages": said},
        COMPLETIONS: {"prompt": text},
        RESPONSES: {"input": text},
        MESSAGES: {"messages": said},
    }
    path = rng.choice(list(bodies))
    return post(path, limit | bodies[path])


async def visit(port: int, rng: random.Random) -> None:
    """One client: it comes, sends what it likes, reads what it likes, and goes when it likes."""
    await asyncio.sleep(rng.random() * ARRIVING_S)
    data = a_request(rng)
    moment = rng.choice(["sending headers", "uploading", "waiting", "reading", "pipelined", "staying"])
    async with wire(port) as client:
        if moment == "sending headers":
            await client.send(data[: rng.randrange(data.index(b"\r\n\r\n"))])
        elif moment == "uploading":
            await client.send(data[: rng.randrange(data.index(b"\r\n\r\n"), len(data))])
        elif moment == "pipelined":
            await client.send(data + b"".join(a_request(rng) for _ in range(rng.randrange(1, 4))))
        else:
            await client.send(data)
        try:
            async with asyncio.timeout(rng.random() * PATIENCE_S * (3 if moment == "staying" else 1)):
                await (asyncio.sleep(PATIENCE_S) if moment == "waiting" else _to_the_end(client))
        except TimeoutError:
            pass
        await leave(client, rng.choice(WAYS))


async def misbehave(engines: list[EngineThread], rng: random.Random, enough: asyncio.Event) -> None:
    """Change what is wrong with the workers, until it is enough: cancelling would leave a change on its way."""
    while not enough.is_set():
        for engine in engines:
            kind = rng.choice(["none", "slow", "hang_headers", "comments_first", "hang_after"])
            await asyncio.to_thread(engine.fault, kind, delay_s=0.02, after_chunks=rng.randrange(5))
        await asyncio.sleep(0.1)


@asynccontextmanager
async def two_workers(tokenizer: str) -> AsyncIterator[tuple[RunningRouter, list[EngineThread]]]:
    """With a tokenizer, chains become known after dispatch: another thing that may come when the client is gone."""
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, tokenizer=tokenizer) as router:
            async with asyncio.timeout(10):  # while a tokenizer is being loaded, everything in its process is slow
                while tokenizer != "off" and not router.parts.prompts.encoders.exact:
                    await router.client.post(CHAT, json=chat())
            yield router, [one, two]


@pytest.mark.parametrize(("exact", "seed"), [(False, 1), (True, 2)], ids=["text", "tokens"])
async def test_two_hundred_clients_that_leave_at_random_moments(tmp_path: Path, exact: bool, seed: int) -> None:
    rng = random.Random(seed)
    small_raw().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    async with two_workers(str(tmp_path / "tokenizer.json") if exact else "off") as (router, engines):
        enough = asyncio.Event()
        wrong = asyncio.create_task(misbehave(engines, rng, enough))
        await asyncio.gather(*(visit(router.port, random.Random(rng.random())) for _ in range(CLIENTS)))
        enough.set()
        await wrong
        for engine in engines:
            engine.fault("none")
        await nothing_left(router, *engines)
        states = [engine.state() for engine in engines]
        assert sum(state["departures"] for state in states) >= 30, states
        assert sum(state["finished"] for state in states) >= 20, states
        for _ in range(4):
            assert (await router.client.post(CHAT, json=chat())).status_code == 200
