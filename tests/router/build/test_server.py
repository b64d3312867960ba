"""The end of a process and of a worker's service: what runs finishes, nothing new begins."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from loadtests.ports import ports
from tests.engines import EngineThread
from tests.router.http.conftest import nothing_went_wrong_inside  # noqa: F401 - a fixture of every test here
from tests.router.http.raw import post, wire
from tests.router.http.scripted_worker import STREAM_HEAD, ScriptedWorker, chunk
from tests.router.http.site import CHAT, GOOD
from tests.routers import MODEL, chat, running_router

KEY = {"x-warmroute-admin-key": "admin"}
SLOW = {"delay_s": 0.05, "path": CHAT}
STREAM = chat("hello", stream=True, max_tokens=16)


@asynccontextmanager
async def served(port: int, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m router serve` on this port, ready."""
    command = [sys.executable, "-m", "router", "serve", "--port", str(port), "--tokenizer", "off", *flags]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(20):
            while not await _ready(client, port):
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/ready")).is_success
    except httpx.TransportError:
        return False


async def _refused(port: int) -> None:
    async with asyncio.timeout(3):
        while True:
            try:
                async with wire(port):
                    await asyncio.sleep(0.02)
            except ConnectionRefusedError:
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_running_streams_finish_and_takes_nothing_new(number: signal.Signals) -> None:
    (port,) = ports(1)
    with EngineThread(model=MODEL) as engine:
        async with served(port, "--worker", engine.url) as process, wire(port) as idle, wire(port) as client:
            await idle.send(post(CHAT, GOOD[CHAT]))
            assert (await idle.answer())[0] == 200
            engine.fault("slow", **SLOW)
            await client.send(post(CHAT, STREAM))
            assert (await client.head())[0] == 200
            process.send_signal(number)
            await _refused(port)
            assert await idle.rest() == b""
            assert process.returncode is None
            assert (await client.chunked()).endswith(b"data: [DONE]\n\n")
            assert await client.rest() == b""
            async with asyncio.timeout(5):
                assert await process.wait() == 0
        await engine.settles(running=0, waiting=0, aborted=0)


async def test_a_balancer_has_the_drain_delay_to_notice() -> None:
    (port,) = ports(1)
    with EngineThread(model=MODEL) as engine:
        flags = ("--worker", engine.url, "--drain-delay-s", "30")
        async with served(port, *flags) as process, wire(port) as idle, wire(port) as client:
            await idle.send(post(CHAT, GOOD[CHAT]))
            assert (await idle.answer())[0] == 200
            process.send_signal(signal.SIGTERM)
            async with httpx.AsyncClient() as looking, asyncio.timeout(3):
                while await _ready(looking, port):
                    await asyncio.sleep(0.02)
            for connection in (idle, client):
                await connection.send(post(CHAT, STREAM))
                status, headers = await connection.head()
                assert (status, headers["connection"]) == (200, "close")
                assert (await connection.chunked()).endswith(b"data: [DONE]\n\n")
                assert await connection.rest() == b""
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)  # a second one does not wait for the balancer
            async with asyncio.timeout(5):
                assert await process.wait() == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_outlasts_the_drain_time_is_told_so(stream: bool) -> None:
    (port,) = ports(1)
    with EngineThread(model=MODEL) as engine:
        async with served(port, "--worker", engine.url, "--drain-timeout-s", "1") as process, wire(port) as client:
            engine.fault("hang_after" if stream else "hang_before", path=CHAT)
            await client.send(post(CHAT, chat("hello", stream=stream)))
            await engine.settles(faults_struck=1)
            process.send_signal(signal.SIGTERM)
            status, body = await client.answer()
            assert status == (200 if stream else 503)
            assert b"shutting down" in body
            async with asyncio.timeout(5):
                assert await process.wait() == 0
            await engine.settles(running=0, waiting=0)


async def test_a_frame_that_the_drain_time_cuts_is_ended_before_the_error_event() -> None:
    async def half_a_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(b'data: {"half": '))
        await reader.read()

    (port,) = ports(1)
    async with (
        ScriptedWorker(half_a_frame) as worker,
        served(port, "--worker", worker.url, "--drain-timeout-s", "1") as process,
        wire(port) as client,
    ):
        await client.send(post(CHAT, STREAM))
        assert (await client.head())[0] == 200
        process.send_signal(signal.SIGTERM)
        frames = (await client.chunked()).split(b"\n\n")
        assert frames[0] == b'data: {"half": '
        assert json.loads(frames[1].removeprefix(b"data: "))["error"]["message"]
        assert frames[2:] == [b"data: [DONE]", b""]
        assert await process.wait() == 0


async def test_draining_a_worker_waits_for_its_leases() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as two:
        async with running_router(one.url, two.url, policy="round_robin") as router, wire(router.port) as client:
            one.fault("slow", **SLOW)
            two.fault("slow", **SLOW)
            await client.send(post(CHAT, STREAM))
            assert (await client.head())[0] == 200
            worker = next(worker for worker in router.parts.fleet.workers.values() if worker.running.in_flight)
            drained = asyncio.create_task(router.client.post(f"/admin/workers/{worker.id}/drain?wait_s=5", headers=KEY))
            async with asyncio.timeout(2):
                while worker.state.value != "draining":
                    await asyncio.sleep(0.005)
            one.fault("none")
            two.fault("none")
            busy = one if worker.url == one.url else two
            before = busy.state()["requests"]
            for _ in range(3):
                assert (await router.client.post(CHAT, json=chat())).status_code == 200
            assert busy.state()["requests"] == before
            assert not drained.done()
            assert worker.running.in_flight == 1
            assert (await client.chunked()).endswith(b"data: [DONE]\n\n")
            assert (await drained).json()["in_flight"] == 0
            assert worker.running.in_flight == 0
            await router.client.post(f"/admin/workers/{worker.id}/undrain", headers=KEY)
            statuses = [(await router.client.post(CHAT, json=chat())).status_code for _ in range(4)]
            assert statuses == [200] * 4
            assert busy.state()["requests"] > before


async def test_a_worker_that_does_not_get_idle_is_waited_for_no_longer_than_asked() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            engine.fault("hang_headers", path=CHAT)
            await client.send(post(CHAT, STREAM))
            await engine.settles(faults_struck=1)
            worker = next(iter(router.parts.fleet.workers.values()))
            told = await router.client.post(f"/admin/workers/{worker.id}/drain?wait_s=0.1", headers=KEY)
            assert told.json()["in_flight"] == 1


async def test_two_who_wait_for_one_drain_are_both_told() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            engine.fault("slow", **SLOW)
            await client.send(post(CHAT, STREAM))
            assert (await client.head())[0] == 200
            worker = next(iter(router.parts.fleet.workers.values()))
            path = f"/admin/workers/{worker.id}/drain?wait_s=20"
            waits = [asyncio.create_task(router.client.post(path, headers=KEY)) for _ in range(2)]
            async with asyncio.timeout(2):
                while len(worker.on_idle) < 2:
                    await asyncio.sleep(0.005)
            engine.fault("none")
            assert (await client.chunked()).endswith(b"data: [DONE]\n\n")
            async with asyncio.timeout(5):
                assert [(await each).json()["in_flight"] for each in waits] == [0, 0]
            assert not worker.on_idle
