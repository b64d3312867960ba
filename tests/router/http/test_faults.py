"""Workers that fail, in every way that the emulated engine knows: before the first byte another one answers, after it
the client is told in its API's own way, and nothing is left behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from loadtests.engine.faults import KINDS
from router.fleet.breaker import BreakerState
from tests.engines import EngineThread
from tests.router.http.site import CHAT, COMPLETIONS, GOOD, MESSAGES, RESPONSES
from tests.routers import MODEL, RunningRouter, chat, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
OUTAGES = ["status_500", "status_502", "status_503", "status_504"]
BEFORE_FIRST_BYTE = ["reset", "hang_before", "hang_headers", "close_mid_stream", *OUTAGES]
ANSWERS = ["status_400", "status_404", "status_422", "status_429", "status_501"]
LONG: dict[str, Any] = {"max_tokens": 12, "max_output_tokens": 12, "stream": True}


@dataclass(frozen=True, slots=True)
class Pair:
    """A router that takes turns between two workers."""

    router: RunningRouter
    one: EngineThread
    two: EngineThread

    async def ask(self, path: str = CHAT, **fields: Any) -> httpx.Response:
        return await self.router.client.post(path, json=GOOD[path] | fields, headers={"x-request-id": "mine"})

    def requests(self) -> int:
        return sum(int(engine.state()["requests"]) for engine in (self.one, self.two))

    async def settled(self) -> None:
        """Nothing is left at the router or the workers."""
        await self.router.settles(2)
        assert not self.router.parts.watchdog._watches
        assert self.router.parts.tree.residency.pendings == 0
        for engine in (self.one, self.two):
            await engine.settles(2, running=0, waiting=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_pair() -> AsyncIterator[Pair]:
    patience: dict[str, Any] = {"first_byte_timeout_s": 0.5, "silence_timeout_s": 0.3, "breaker_failures": 100}
    with EngineThread(model=MODEL, speed=20.0) as one, EngineThread(model=MODEL, speed=20.0, seed=1) as two:
        async with running_router(one.url, two.url, policy="round_robin", **patience) as router:
            yield Pair(router, one, two)


@pytest_asyncio.fixture(loop_scope="module")
async def pair(running_pair: Pair) -> AsyncIterator[Pair]:
    """The pair without faults, before and after."""
    yield running_pair
    running_pair.one.fault("none")
    running_pair.two.fault("none")
    await running_pair.settled()


# Before the first byte ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", BEFORE_FIRST_BYTE)
async def test_another_worker_answers_before_the_first_byte(pair: Pair, fault: str, stream: bool) -> None:
    before = pair.requests()
    pair.one.fault(fault, count=1, after_chunks=0, path=CHAT)
    for _ in range(2):
        answer = await pair.ask(stream=stream)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-request-id"] == "mine"
    assert pair.requests() == before + 3
    failed = next(entry for entry in pair.one.requests()[::-1] if entry["fault"] == fault)
    assert dict(failed["headers"])["x-request-id"] == "mine"
    ids = [dict(entry["headers"])["x-request-id"] for entry in pair.two.requests()[-2:]]
    assert "mine-2" in ids, "an engine may refuse to run two requests of one id"


async def test_another_worker_answers_where_one_refuses_connections() -> None:
    unprobed: dict[str, Any] = {"health_interval_s": 60.0, "scrape_interval_s": 60.0}  # the requests are to find out
    with EngineThread(model=MODEL, speed=20.0) as one, EngineThread(model=MODEL, speed=20.0) as two:
        async with running_router(one.url, two.url, policy="round_robin", **unprobed) as router:
            async with asyncio.timeout(10):  # a first look that is under way would find out
                while any(worker.load is None for worker in router.parts.fleet.workers.values()):
                    await asyncio.sleep(0.01)
            one.kill()
            asked = [router.client.post(CHAT, json=GOOD[CHAT]) for _ in range(4)]
            assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * 4
            assert (await router.metrics())['warmroute_retries_total{cause="connect"}'] >= 1
            await router.settles()


@pytest.mark.parametrize("fault", ANSWERS)
async def test_an_answer_that_is_no_outage_is_the_answer(pair: Pair, fault: str) -> None:
    before = pair.requests()
    pair.one.fault(fault, count=1, path=CHAT)
    statuses = sorted([(await pair.ask()).status_code for _ in range(2)])
    assert statuses == [200, int(fault.removeprefix("status_"))]
    assert pair.requests() == before + 2


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_when_all_are_busy_the_last_one_says_so_itself(pair: Pair, path: str) -> None:
    for engine in (pair.one, pair.two):
        engine.fault("status_503", retry_after="7")
    answer = await pair.ask(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "a fault was asked for" in answer.text


async def test_a_stored_response_has_one_worker_alone(pair: Pair) -> None:
    made = (await pair.ask(RESPONSES)).json()["id"]
    before = pair.requests()
    for engine in (pair.one, pair.two):
        engine.fault("status_503", retry_after="7")
    follow = await pair.ask(RESPONSES, previous_response_id=made)
    assert (follow.status_code, follow.headers["retry-after"]) == (503, "7")
    assert pair.requests() == before + 1


@pytest.mark.parametrize("fault", ["reset", "hang_before"])
async def test_when_all_fail_the_client_is_told(pair: Pair, fault: str) -> None:
    for engine in (pair.one, pair.two):
        engine.fault(fault)
    for path, style in ((CHAT, "param"), (MESSAGES, "message")):
        answer = await pair.ask(path)
        assert answer.status_code == (502 if fault == "reset" else 504)
        assert style in answer.json()["error"]


async def test_a_dropped_pooled_connection_is_no_fault_of_the_workers() -> None:
    with EngineThread(model=MODEL, speed=20.0) as engine:
        async with running_router(engine.url, breaker_failures=1) as router:
            for stream in (True, False):
                await router.client.post(CHAT, json=chat())
                engine.fault("drop_keepalive", count=1, path=CHAT)
                struck = engine.state()["faults_struck"]
                answer = await router.client.post(CHAT, json=chat(stream=stream))
                assert answer.status_code == 200
                assert engine.state()["faults_struck"] == struck + 1
                assert engine.requests()[-1]["nth_request"] == 1
                assert next(iter(router.parts.fleet.workers.values())).breaker.state is BreakerState.CLOSED
            metrics = await router.metrics()
            assert not [name for name in metrics if name.startswith("warmroute_retries_total")]


async def test_comments_are_held_and_then_relayed_as_they_came(pair: Pair) -> None:
    pair.one.fault("comments_first", path=CHAT)
    pair.two.fault("comments_first", path=CHAT)
    answer = await pair.ask(**LONG)
    assert answer.content.startswith(b": keep-alive\n\n: keep-alive\n\ndata: {")
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert answer.content.count(b"data: ") == answer.content.count(b"\n\n") - 2


# After it -------------------------------------------------------------------------------------------------------------


def check_ending(path: str, stream: bytes) -> None:
    """The stream ends with one whole error event of its API, and everything before it is whole frames."""
    frames = stream.split(b"\n\n")
    assert frames.pop() == b""
    assert all(frames), "an empty frame"
    if path in (CHAT, COMPLETIONS):
        assert frames.pop() == b"data: [DONE]"
        assert json.loads(frames.pop().removeprefix(b"data: "))["error"]["type"] == "api_error"
        return
    name, _, data = frames.pop().partition(b"\n")
    assert name == b"event: error"
    told = json.loads(data.removeprefix(b"data: "))
    assert told["type"] == "error"
    assert (told["error"] if path == MESSAGES else told)["message"]


@pytest.mark.parametrize("path", GOOD)
@pytest.mark.parametrize("fault", ["close_mid_stream", "reset_mid_stream", "cut_frame", "hang_after"])
async def test_a_stream_that_breaks_ends_with_an_error_event(pair: Pair, fault: str, path: str) -> None:
    before = pair.requests()
    for engine in (pair.one, pair.two):
        engine.fault(fault, after_chunks=3, path=path)
    answer = await pair.ask(path, **LONG)
    assert answer.status_code == 200
    check_ending(path, answer.content)
    assert pair.requests() == before + 1, "nothing is retried after the first byte"


async def test_a_workers_own_error_event_is_left_alone(pair: Pair) -> None:
    for engine in (pair.one, pair.two):
        engine.fault("error_event", path=CHAT)
    answer = await pair.ask(**LONG)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert answer.content.count(b'"error"') == 1
    assert b"a fault was asked for" in answer.content


@pytest.mark.parametrize("path", GOOD)
async def test_a_whole_answer_that_breaks_is_cut_where_the_client_sees_it(pair: Pair, path: str) -> None:
    for engine in (pair.one, pair.two):
        engine.fault("cut_frame", after_chunks=0, path=path)
    with pytest.raises(httpx.RemoteProtocolError):
        await pair.ask(path)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", [*KINDS, *OUTAGES, *ANSWERS])
async def test_whatever_fails_nothing_is_left_behind(pair: Pair, fault: str, stream: bool) -> None:
    for engine in (pair.one, pair.two):
        engine.fault(fault, delay_s=0.01, path=CHAT)
    for _ in range(2):
        try:
            await pair.ask(stream=stream)
        except httpx.RemoteProtocolError:
            assert fault in ("cut_frame", "close_mid_stream", "reset_mid_stream")
    pair.one.fault("none")
    pair.two.fault("none")
    await pair.settled()
    assert [(await pair.ask()).status_code for _ in range(2)] == [200, 200]


async def test_traffic_leaves_a_worker_of_fast_500s_and_comes_back() -> None:
    with EngineThread(model=MODEL, speed=20.0) as bad, EngineThread(model=MODEL, speed=20.0) as good:
        async with running_router(
            bad.url, good.url, policy="round_robin", breaker_failures=3, breaker_open_s=0.3
        ) as router:
            worker = next(worker for worker in router.parts.fleet.workers.values() if worker.url == bad.url)
            bad.fault("status_500", path=CHAT)
            began = time.monotonic()
            statuses = [(await router.client.post(CHAT, json=chat())).status_code for _ in range(20)]
            trials = int((time.monotonic() - began) / 0.3)  # on a busy machine
            assert statuses == [200] * 20, "the other worker was asked"
            assert 3 <= bad.state()["requests"] <= 3 + trials, "until the breaker opened"
            assert worker.breaker.state.value in ("open", "half_open")
            bad.fault("none")
            before = bad.state()["requests"]
            async with asyncio.timeout(3):
                while bad.state()["requests"] == before:
                    assert (await router.client.post(CHAT, json=chat())).status_code == 200
            assert worker.breaker.state is BreakerState.CLOSED
