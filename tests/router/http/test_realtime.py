"""`/v1/realtime` with a real WebSocket client in front and a real WebSocket server behind."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from router.fleet.worker import Worker
from router.http.realtime import Sessions
from router.settings import Secret
from tests.router.clients.files import table, write
from tests.router.fake_worker import Answer, FakeWorker, models, vllm
from tests.router.http.raw import wire
from tests.router.http.realtime_worker import RealtimeWorker
from tests.routers import MODEL, RunningRouter, running_router

QUERY = f"/v1/realtime?model={MODEL}"
HANDSHAKE = (
    f"GET {QUERY} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@asynccontextmanager
async def session(router: RunningRouter, path: str = QUERY, **more: Any) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{router.port}{path}"
    async with connect(url, compression=None, ping_interval=None, proxy=None, **more) as client:
        yield client


@asynccontextmanager
async def pair(**settings: Any) -> AsyncIterator[tuple[RunningRouter, RealtimeWorker]]:
    async with RealtimeWorker().serving() as worker, running_router(worker.url, **settings) as router:
        yield router, worker


def workers(router: RunningRouter) -> list[Worker]:
    return list(router.parts.fleet.workers.values())


async def closed(client: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code


async def test_messages_go_both_ways_and_a_session_is_a_lease() -> None:
    async with pair() as (router, worker):
        async with session(router, subprotocols=["realtime"]) as client:
            assert client.subprotocol == "realtime"
            for message in ("hello", b"\0" * 300, "x" * 70_000):
                await client.send(message)
                assert await client.recv() == message
            assert router.leases == 1
        await router.settles()
        assert worker.ended == [1000]
        asked = worker.asked[0]
        assert asked.path == QUERY
        assert "x-request-id" in asked.headers
        page = await router.metrics()
        name = f'warmroute_requests_total{{endpoint="/v1/realtime",model="{MODEL}",outcome="ok"'
        assert sum(value for key, value in page.items() if key.startswith(name)) == 1


async def test_a_worker_that_closes_and_one_that_dies() -> None:
    async with pair() as (router, _):
        async with session(router) as client:
            await client.send("bye")
            assert await closed(client) == 4000
        async with session(router) as client:
            await client.send("die")
            assert await closed(client) == 1011
        await router.settles()


async def test_a_client_that_vanishes_ends_the_session_on_the_worker() -> None:
    async with pair() as (router, worker):
        async with session(router) as client:
            await client.send("x")
            await client.recv()
            client.transport.abort()
            await router.settles()
        async with asyncio.timeout(5):
            while not worker.ended:
                await asyncio.sleep(0.01)
        assert worker.ended == [1006]


async def test_sessions_go_to_the_least_loaded_worker_of_the_model() -> None:
    async with (
        RealtimeWorker().serving() as one,
        RealtimeWorker().serving() as two,
        running_router(one.url, two.url, policy="least_loaded") as router,
    ):
        async with session(router), session(router), session(router), session(router):
            assert [worker.running.in_flight for worker in workers(router)] == [2, 2]
        await router.settles()


async def test_a_handshake_that_fails_goes_to_another_worker() -> None:
    async with (
        RealtimeWorker().serving() as one,
        RealtimeWorker().serving() as two,
        running_router(one.url, two.url) as router,
    ):
        one.refuse = HTTPStatus.SERVICE_UNAVAILABLE
        for _ in range(3):
            async with session(router) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
        assert len(two.asked) == 3


async def test_a_handshake_is_retried_as_any_request_is() -> None:
    """After a 500 too, and what nobody else can take is answered by the worker itself."""
    async with (
        RealtimeWorker().serving() as one,
        RealtimeWorker().serving() as two,
        running_router(one.url, two.url) as router,
    ):
        one.refuse = two.refuse = HTTPStatus.INTERNAL_SERVER_ERROR
        with pytest.raises(InvalidStatus) as refused:
            async with session(router):
                pass
        assert refused.value.response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
        assert refused.value.response.body == b"no room\n"
        assert (len(one.asked), len(two.asked)) == (1, 1)
        assert (await router.metrics())['warmroute_retries_total{cause="status_500"}'] == 1
        await router.settles()


@pytest.mark.parametrize("status", [HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED])
async def test_a_refusal_is_the_workers_own(status: HTTPStatus) -> None:
    async with pair() as (router, worker):
        worker.refuse = status
        with pytest.raises(InvalidStatus) as refused:
            async with session(router):
                pass
        assert refused.value.response.status_code == status
        assert refused.value.response.body == b"no room\n"
        await router.settles()


async def handshake(router: RunningRouter, path: str = QUERY, key: str = "") -> tuple[int, bytes]:
    """What a handshake is answered that leads to no session: status, and everything from the head to the end."""
    lines = HANDSHAKE.replace(QUERY, path) + (f"authorization: Bearer {key}\r\n" if key else "")
    async with wire(router.port) as client:
        await client.send(lines.encode() + b"\r\n")
        data = await client.rest()
    return int(data.split(b" ")[1]), data


@pytest.mark.parametrize(
    ("answer", "statuses", "told"),
    [
        (Answer(b"x" * 1000, 401, drip_s=0.01), (502, 503), b"error"),
        (Answer(b"no", 401, declared_bytes=1000), (401,), b"no"),
        (Answer(b"no", 401, declared_bytes=10**30), (401,), b"no"),
        (Answer(b"5\r\nhello\r\n0\r\n\r\n", 403, {"transfer-encoding": "chunked"}, 0), (403,), b"content-length: 0"),
        (Answer(b"", 204), (204,), b""),
        (Answer(b"", 103), (502, 503), b"error"),
        (Answer(b"", 307, {"location": "http://10.0.0.7:8000/x"}), (502,), b"worker_redirected"),
        (Answer(b"no", 401, {"location": "http://10.0.0.7:8000/x", "alt-svc": 'h2="10.0.0.7:1"'}), (401,), b"no"),
    ],
    ids=["drips", "short", "absurd length", "chunked", "no body", "informational", "redirect", "address"],
)
async def test_a_workers_odd_refusal_ends_in_time(answer: Answer, statuses: tuple[int, ...], told: bytes) -> None:
    worker = FakeWorker({**vllm(), "/v1/models": models(MODEL), "/v1/realtime": answer})
    async with worker, running_router(worker.url) as router:
        sessions = router.parts.gateway._ways.realtime.carrier
        assert isinstance(sessions, Sessions)
        dialer = sessions._dialer
        dialer._limits = msgspec.structs.replace(dialer._limits, handshake_s=0.3)
        async with asyncio.timeout(3):
            status, data = await handshake(router)
        assert status in statuses
        assert told in data
        assert b"10.0.0.7" not in data
        await router.settles()


@pytest.mark.parametrize("query", ["model=m&model=other", "model=other&model=m", "model=m&model=m", "model=&model=m"])
async def test_which_model_is_meant_is_no_guess(query: str) -> None:
    async with pair() as (router, worker):
        status, data = await handshake(router, f"/v1/realtime?{query}")
        assert (status, worker.asked) == (400, [])
        assert b"invalid_request" in data
        assert (await handshake(router, f"/v1/realtime?{query.replace('model', '%6dodel', 1)}"))[0] == 400


async def test_rights_and_limits_that_a_session_could_pass(tmp_path: Path) -> None:
    keys = write(
        tmp_path / "keys",
        table("some", "key-some", more=f'models = ["{MODEL}"]'),
        table("all", "key-all", more=f'models = ["{MODEL}", "adapter"]'),
        table("paying", "key-paying", more="uncached_tokens_per_minute = 1000"),
    )
    async with pair(keys_file=str(keys)) as (router, worker):
        worker.routes["/v1/models"] = models(MODEL, adapter=MODEL)
        for each in workers(router):
            each.suspect()
        async with asyncio.timeout(5):
            while "adapter" not in router.parts.fleet.groups:
                await asyncio.sleep(0.01)
        for key, path, code in (
            ("key-some", QUERY, b"model_not_allowed"),
            ("key-some", "/v1/realtime", b"model_not_allowed"),
            ("key-all", "/v1/realtime", b"model_not_allowed"),
            ("key-all", QUERY.upper().replace("/V1/REALTIME?MODEL", "/v1/realtime?model"), b"model_not_allowed"),
            ("key-paying", QUERY, b"path_not_allowed"),
        ):
            status, data = await handshake(router, path, key)
            assert (status, worker.asked) == (403, []), (key, path)
            assert code in data
        async with session(router, additional_headers={"authorization": "Bearer key-all"}) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await router.settles()


async def test_refusals_of_the_router() -> None:
    async with pair(api_keys=(Secret("client-key"),), worker_api_key=Secret("worker-key")) as (router, worker):
        for path, headers, status in (
            (QUERY, {}, 401),
            ("/v1/realtime?model=other", {"authorization": "Bearer client-key"}, 404),
            ("/v1/chat/completions", {"authorization": "Bearer client-key"}, 501),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with session(router, path, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status
        assert worker.asked == []
        async with session(router, additional_headers={"authorization": "Bearer client-key"}):
            pass
        assert worker.asked[0].headers["authorization"] == "Bearer worker-key"
        await router.settles()


async def test_no_worker_is_a_503_and_a_dead_one_a_502() -> None:
    async with running_router("http://127.0.0.1:1", ready=False) as router:
        with pytest.raises(InvalidStatus) as refused:
            async with session(router, "/v1/realtime"):
                pass
        assert refused.value.response.status_code == 503


async def test_idle_sessions_are_closed() -> None:
    async with pair(realtime_idle_s=0.3) as (router, _):
        async with session(router) as client:
            await client.send("silence")
            assert await closed(client) == 1001
        await router.settles()


async def test_a_draining_workers_sessions_are_told_to_go() -> None:
    async with pair(realtime_drain_s=0.0) as (router, _):
        async with session(router) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            router.parts.fleet.drain(workers(router)[0].id)
            assert await closed(client) == 1001
        await router.settles()


async def test_a_router_that_ends_tells_its_sessions_so() -> None:
    async with RealtimeWorker().serving() as worker, running_router(worker.url, realtime_drain_s=0.0) as router:
        client = await connect(f"ws://127.0.0.1:{router.port}{QUERY}", compression=None, ping_interval=None, proxy=None)
        router.parts.server.should_exit = True
        assert await closed(client) == 1001


async def test_a_slow_reader_slows_the_worker_and_nothing_is_lost() -> None:
    async with pair() as (router, _):
        async with session(router, max_size=None, max_queue=1) as client:
            sent = [os.urandom(200_000) for _ in range(30)]
            sending = asyncio.gather(*(client.send(message) for message in sent))
            await asyncio.sleep(0.1)
            assert [await client.recv() for _ in sent] == sent
            await sending
        await router.settles()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("content-length: 2\r\n\r\n{}", 501),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    ],
)
async def test_a_handshake_with_a_body_is_none(more: str, status: int) -> None:
    async with pair() as (router, worker), wire(router.port) as client:
        await client.send((HANDSHAKE + more).encode())
        assert (await client.answer())[0] == status
        assert worker.asked == []


async def test_what_the_client_sends_with_its_handshake_is_not_lost() -> None:
    async with pair() as (router, _), wire(router.port) as client:
        masked = b"\x81\x82\0\0\0\0hi"
        await client.send((HANDSHAKE + "\r\n").encode() + masked)
        assert (await client.head())[0] == 101
        assert await client.reader.readexactly(4) == b"\x81\x02hi"


async def test_a_connection_that_was_used_before_may_become_a_session() -> None:
    """As proxies that keep their connections do it."""
    async with pair() as (router, _), wire(router.port) as client:
        await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await client.answer())[0] == 200
        await client.send((HANDSHAKE + "\r\n").encode())
        assert (await client.head())[0] == 101
        await client.send(b"\x81\x82\0\0\0\0hi")
        assert await client.reader.readexactly(4) == b"\x81\x02hi"
