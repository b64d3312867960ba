"""Defaults of the HTTP libraries that leak, hang or rewrite: each has been changed, and each test fails without it."""

import asyncio
import gzip
import hashlib

import pytest

from router.wire.protocol import GuardedProtocol
from tests.engines import EngineThread
from tests.router.fake_worker import Answer, FakeWorker, models, vllm
from tests.router.http.raw import post, wire
from tests.routers import MODEL, RunningRouter, chat, running_router

CHAT = "/v1/chat/completions"


async def test_a_workers_cookie_goes_to_its_client_and_to_nobody_else() -> None:
    with EngineThread(model=MODEL) as engine:
        engine.fault("cookie", count=1, path=CHAT)
        async with running_router(engine.url) as router:
            first = await router.client.post(CHAT, json=chat())
            assert "set-cookie" in first.headers
            router.client.cookies.clear()
            await router.client.post(CHAT, json=chat())
            assert "cookie" not in dict(engine.requests()[-1]["headers"])


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/responses/resp_1"])
async def test_redirects_are_neither_followed_nor_relayed(status: int, path: str) -> None:
    answer = Answer(b"see http://10.0.0.7:8000/", status, {"location": "http://10.0.0.7:8000/docs"})
    worker = FakeWorker({**vllm(), "/v1/models": models(MODEL), path: answer})
    async with worker, running_router(worker.url) as router:
        method = "GET" if "resp" in path else "POST"
        told = await router.client.request(method, path, json=chat(), follow_redirects=False)
        assert (told.status_code, told.json()["error"]["code"]) == (502, "worker_redirected")
        assert "10.0.0.7" not in told.text + str(told.headers)
        assert worker.times(path) == 1
        assert worker.times("/docs") == 0
        await router.settles()


@pytest.mark.parametrize("status", [200, 201, 304, 400, 404, 503])
async def test_no_answer_shows_where_a_worker_is(status: int) -> None:
    where = "http://10.0.0.7:8000/x"
    shown = {"Location": where, "content-location": where, "REFRESH": f"0; url={where}", "alt-svc": 'h2="10.0.0.7:1"'}
    answer = Answer(b"" if status == 304 else b"{}", status, {**shown, "etag": "x"})
    worker = FakeWorker({**vllm(), "/v1/models": models(MODEL), CHAT: answer})
    async with worker, running_router(worker.url, max_attempts=1) as router:
        told = await router.client.post(CHAT, json=chat())
        assert (told.status_code, told.headers["etag"]) == (status, "x")
        assert "10.0.0.7" not in str(told.headers)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(post(CHAT, chat()))
            assert (await client.answer())[0] == 200


async def test_no_header_is_added_and_none_lost() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            sent = (
                "x-tenant: a",
                "traceparent: 00-1-2-01",
                "x-twice: 1",
                "x-twice: 2",
                "x-utf8: grün",
                "x-request-id: r1",
            )
            hops = ("connection: x-hop", "x-hop: 1", "te: trailers", "proxy-authorization: p", "keep-alive: 5")
            await client.send(post(CHAT, chat(), *sent, *hops))
            assert (await client.answer())[0] == 200
            seen = [(name, value) for name, value in engine.requests()[-1]["headers"]]
            own = {"host", "content-type", "content-length"}
            expected = sorted(tuple(line.split(": ", 1)) for line in sent)
            assert sorted((n, v) for n, v in seen if n not in own and n != "x-utf8") == [
                pair for pair in expected if pair[0] != "x-utf8"
            ]
            assert "x-utf8" in dict(seen)


async def test_queries_are_not_rewritten() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(post("/tokenize?x=%20%2B+&y=/%2e%2e/../", {"model": MODEL}))
            await client.answer()
            assert engine.requests()[-1]["target"] == "/tokenize?x=%20%2B+&y=/%2e%2e/../"


async def test_large_response_headers_pass() -> None:
    with EngineThread(model=MODEL) as engine:
        engine.fault("large_headers", count=1, path=CHAT)
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(post(CHAT, chat()))
            status, headers = await client.head()
            assert status == 200
            assert max(len(value) for value in headers.values()) > 30_000


async def test_large_bodies_pass_byte_for_byte() -> None:
    body = post(CHAT, chat("x" * (5 << 20)))
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(body)
            await client.answer()
            sent = body.partition(b"\r\n\r\n")[2]
            assert engine.requests()[-1]["body_sha256"] == hashlib.sha256(sent).hexdigest()


async def test_compressed_answers_stay_compressed() -> None:
    with EngineThread(model=MODEL) as engine:
        engine.fault("gzip", count=1, path=CHAT)
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(post(CHAT, chat()))
            status, headers = await client.head()
            assert (status, headers["content-encoding"]) == (200, "gzip")
            data = await client.chunked()
            assert b'"choices"' in gzip.decompress(data)


async def test_server_and_date_are_the_workers() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            async with wire(engine.port) as direct:
                await direct.send(post(CHAT, chat()))
                _, theirs = await direct.head()
            await client.send(post(CHAT, chat()))
            _, ours = await client.head()
            assert set(ours) - {"x-request-id"} == set(theirs) - {"x-request-id"}
            assert ours.get("server") == theirs.get("server")
            await client.send(b"")
        async with running_router(engine.url) as router:
            own = await router.client.get("/health")
            assert "server" not in own.headers


async def test_headers_are_bounded_in_size() -> None:
    async with running_router("http://127.0.0.1:9", ready=False) as router:
        async with wire(router.port) as client:
            await client.send(post(CHAT, chat(), "x-big: " + "y" * 70_000))
            assert (await client.answer())[0] == 431
        async with wire(router.port) as client:
            await client.send(b"POST / HTTP/1.1\r\n")
            for _ in range(200):
                await client.send(b"x-a: " + b"z" * 1000 + b"\r\n")
            assert (await client.answer())[0] == 431


async def test_headers_are_bounded_in_time() -> None:
    async with running_router("http://127.0.0.1:9", ready=False, header_timeout_s=0.5) as router:
        async with wire(router.port) as client:
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\n")
            assert (await client.answer())[0] == 408
        async with wire(router.port) as client:
            assert await client.rest() == b""


async def test_a_websocket_upgrade_on_another_path_is_answered_501_and_closed() -> None:
    async with running_router("http://127.0.0.1:9", ready=False) as router, wire(router.port) as client:
        await client.send(
            b"GET /v1/other HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        status, body = await client.answer()
        assert status == 501
        assert b"WebSocket" in body
        assert await client.rest() == b""


async def test_an_offer_of_http2_does_not_lose_the_body() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            upgrade = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
            await client.send(post(CHAT, chat(), *upgrade))
            status, body = await client.answer()
            assert status == 200, body


async def test_a_truncated_upload_goes_nowhere() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            before = engine.state()["requests"]
            async with wire(router.port) as client:
                await client.send(post(CHAT, chat("x" * 1000))[:-100])
            await router.settles()
            async with wire(router.port) as client:  # half-closed: it may still read, but counts as gone
                await client.send(post(CHAT, chat("x" * 1000))[:-100])
                client.writer.write_eof()
                assert await client.rest() == b""
            await router.settles()
            assert engine.state()["requests"] == before


async def _held_stream(router: RunningRouter, engine: EngineThread) -> None:
    async with asyncio.timeout(5):
        while not router.leases:
            await asyncio.sleep(0.005)


async def test_a_pipelining_client_that_leaves_is_noticed() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            engine.fault("hang_headers")
            async with wire(router.port) as client:
                await client.send(post(CHAT, chat("a", stream=True)) + post(CHAT, chat("b", stream=True)))
                await _held_stream(router, engine)
                await client.send(post(CHAT, chat("c", stream=True)))
            await router.settles()
            engine.fault("none")
            await engine.settles(running=0, waiting=0)


async def test_a_pipeline_is_answered_in_order() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router, wire(router.port) as client:
            await client.send(b"".join(post(CHAT, chat(), f"x-request-id: r{n}") for n in range(5)))
            for n in range(5):
                status, headers = await client.head()
                assert (status, headers["x-request-id"]) == (200, f"r{n}")
                await client.reader.readexactly(int(headers["content-length"]))


async def test_pipelining_far_ahead_is_cut() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            engine.fault("hang_headers")
            async with wire(router.port) as client:
                await client.send(post(CHAT, chat("a", stream=True)) * 2)
                await client.send(post(CHAT, chat("x" * 1000)) * 3000)
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await client.head()
            await router.settles()


def test_the_protocol_is_the_guarded_one() -> None:
    """Without it the limits above would not exist; uvicorn must not swap it."""
    from router.build.server import make_server
    from router.build.tuning import DEFAULTS
    from router.http.gateway import Gateway
    from router.wire.body import BodyBudget
    from tests.routers import settings_for

    server = make_server(Gateway.__new__(Gateway), settings_for("http://127.0.0.1:9"), BodyBudget(1), DEFAULTS)
    assert issubclass(server.config.http_protocol_class, GuardedProtocol)
