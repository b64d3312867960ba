"""Streams that are kept alive while they wait, byte for byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from router.wire.errors import Style
from router.wire.keep_alive import COMMENT, HEARTBEAT, PING, place_of, sign_of
from tests.engines import EngineThread, quick_profile
from tests.router.http.raw import Wire, post, wire
from tests.router.http.scripted_worker import STREAM_HEAD, Script, ScriptedWorker, chunk
from tests.router.http.site import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from tests.routers import MODEL, RunningRouter, chat, running_router

EVERY_S = 0.05
TEXT = "word " * 3200
"""4,000 tokens: half a second of prefill."""
SAID = [{"role": "user", "content": TEXT}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "max_tokens": 2, "messages": SAID, "stream": True},
    COMPLETIONS: {"model": MODEL, "max_tokens": 2, "prompt": TEXT, "stream": True},
    RESPONSES: {"model": MODEL, "max_output_tokens": 2, "input": TEXT, "stream": True},
    MESSAGES: {"model": MODEL, "max_tokens": 2, "messages": SAID, "stream": True},
}
ENDS = {
    CHAT: b"data: [DONE]\n\n",
    COMPLETIONS: b"data: [DONE]\n\n",
    RESPONSES: b"response.completed",
    MESSAGES: b"stop",
}
SMALL = json.dumps(chat(stream=True)).encode()
FRAME = b'data: {"x": 1}\n\n'


@asynccontextmanager
async def slow_engine(every_s: float = EVERY_S, **settings: Any) -> AsyncIterator[RunningRouter]:
    with EngineThread(model=MODEL, profile=quick_profile(prefill_rate=8_000)) as engine:
        async with running_router(engine.url, stream_keepalive_s=every_s, prefill_rate=8000.0, **settings) as router:
            yield router


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[RunningRouter]:
    """A worker for each script."""
    async with AsyncExitStack() as stack:
        urls = [(await stack.enter_async_context(ScriptedWorker(script))).url for script in scripts]
        running = running_router(*urls, stream_keepalive_s=EVERY_S, policy="round_robin")
        router = await stack.enter_async_context(running)
        yield router
        await router.settles(2)


def answers(*pieces: bytes, after_s: float = 4 * EVERY_S) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(SMALL))
        await asyncio.sleep(after_s)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return script


async def asked(client: Wire, path: str = CHAT, *headers: str) -> tuple[dict[str, str], bytes]:
    """Head and body of a stream, whose connection then serves the next request: so nothing stands behind its end."""
    await client.send(post(path, SMALL if path == CHAT else BODIES[path], *headers))
    status, told = await client.head()
    assert (status, told["content-type"], told["transfer-encoding"]) == (200, "text/event-stream", "chunked")
    assert "content-length" not in told
    body = await client.chunked()
    await client.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await client.answer())[0] == 200
    return told, body


@pytest.mark.parametrize(
    ("path", "sign"), [(CHAT, COMMENT), (COMPLETIONS, COMMENT), (RESPONSES, COMMENT), (MESSAGES, PING)]
)
async def test_each_api_has_its_own_sign_of_life(path: str, sign: bytes) -> None:
    async with slow_engine() as router, wire(router.port) as client:
        await client.send(post(path, BODIES[path], "x-request-id: mine"))
        status, headers = await client.head()
        assert (status, headers["content-type"], headers["x-request-id"]) == (200, "text/event-stream", "mine")
        body = await client.chunked()
    signs = 0
    while body.startswith(sign):
        body, signs = body.removeprefix(sign), signs + 1
    assert signs >= 2
    assert sign not in body, "none while the answer runs"
    assert ENDS[path] in body


@pytest.mark.parametrize(("path", "sign"), [(CHAT, COMMENT), (RESPONSES, HEARTBEAT), (MESSAGES, PING)])
async def test_who_stands_in_line_is_told_the_place_until_it_goes(path: str, sign: bytes) -> None:
    codex = ("thread-id: t",) if path == RESPONSES else ()
    async with slow_engine(saturation_wait_s=0.05) as router, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(router.port)) for _ in range(3)]
        for number, client in enumerate(clients):
            said = [{"role": "user", "content": f"{number} {TEXT}"}]
            body = {key: said if key in ("messages", "input") else value for key, value in BODIES[path].items()}
            await client.send(post(path, body, *codex))
            async with asyncio.timeout(5):
                while router.leases + len(router.parts.waiting_room) <= number:
                    await asyncio.sleep(0.002)
        answers = []
        for client in clients:
            assert (await client.head())[0] == 200
            answers.append(await client.chunked())
    assert place_of(0) not in answers[0] and answers[0].startswith(sign), "it runs"
    for before, answer in enumerate(answers[1:]):
        assert answer.startswith(place_of(before) + sign)
        assert answer.count(sign) > answer.count(b"requests in line"), "at its worker there is no line"
    assert place_of(0) + sign in answers[2].partition(place_of(1) + sign)[2], "it has moved up"


async def test_codex_gets_data() -> None:
    async with slow_engine() as router, wire(router.port) as client:
        _, body = await asked(client, RESPONSES, "thread-id: t")
    assert body.startswith(2 * HEARTBEAT)
    assert b"\n\nevent: response.created" in body


@pytest.mark.parametrize(
    ("style", "comments_count", "sign"),
    [
        ("openai", False, COMMENT),
        ("responses", True, COMMENT),
        ("responses", False, HEARTBEAT),
        ("anthropic", True, PING),
    ],
)
def test_the_sign_of_life_depends_on_the_style(style: Style, comments_count: bool, sign: bytes) -> None:
    assert sign_of(style, comments_count) == sign


async def test_without_the_setting_the_head_is_the_workers() -> None:
    async with slow_engine(every_s=0.0) as router, wire(router.port) as client:
        await client.send(post(CHAT, BODIES[CHAT]))
        assert (await client.head())[0] == 200
        assert (await client.chunked()).startswith(b"data: ")


async def test_an_answer_that_does_not_stream_is_left_alone() -> None:
    async with slow_engine() as router:
        answer = await router.client.post(CHAT, json={**BODIES[CHAT], "stream": False})
        assert answer.json()["object"] == "chat.completion"


async def test_a_stream_that_comes_late_goes_on_behind_the_signs() -> None:
    stream = STREAM_HEAD.replace(b"text/", b"text/") + chunk(FRAME) + chunk(b"data: [DONE]\n\n") + chunk(b"")
    async with scripted(answers(stream)) as router, wire(router.port) as client:
        _, body = await asked(client)
    head, _, rest = body.partition(FRAME)
    assert head == COMMENT * (len(head) // len(COMMENT)) and len(head) >= 2 * len(COMMENT)
    assert rest == b"data: [DONE]\n\n"


async def test_a_stream_of_a_given_length_loses_its_length_alone() -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(FRAME) + FRAME
    async with scripted(answers(whole)) as router, wire(router.port) as client:
        assert (await asked(client))[1].endswith(COMMENT + FRAME)


ERROR = b'{"error": {"message": "too long", "type": "x"}}'


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n" % len(ERROR) + ERROR, 400, "too long"),
        (b'HTTP/1.1 400 Bad\r\ncontent-length: 17\r\n\r\n{"message": "no"}', 400, "no"),
        (b"HTTP/1.1 418 Tea\r\ncontent-length: 3\r\n\r\n\xff{]", 418, "The worker answered with status 418."),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "worker_failed",
            "The worker did not answer with a stream.",
        ),
        (STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n") + chunk(b"x"), "worker_failed", ""),
    ],
)
async def test_what_is_no_stream_becomes_an_event(answer: bytes, status: int | str, message: str) -> None:
    async with scripted(answers(answer)) as router, wire(router.port) as client:
        _, body = await asked(client)
        assert (await router.metrics())["warmroute_queue_depth"] == 0
    *signs, event, done, end = body.split(b"\n\n")
    assert set(signs) == {COMMENT.strip()}
    assert (done, end) == (b"data: [DONE]", b"")
    error = json.loads(event.removeprefix(b"data: "))["error"]
    assert error["code"] == status
    assert message in error["message"]


async def test_another_worker_is_tried_as_before() -> None:
    late = answers(STREAM_HEAD + chunk(FRAME) + chunk(b""))
    dies = answers(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
    async with scripted(dies, late) as router, wire(router.port) as client:
        for _ in range(2):  # round robin begins at either of them
            assert (await asked(client))[1].endswith(COMMENT + FRAME)


async def test_who_is_sent_away_after_signs_is_told_by_an_event_and_pays_nothing() -> None:
    async with slow_engine(saturation_wait_s=0.05, queue_timeout_s=0.3) as router:
        busy = [asyncio.create_task(router.client.post(MESSAGES, json=BODIES[MESSAGES])) for _ in range(8)]
        answers = [(await one).text for one in busy]
        refused = [answer for answer in answers if "overloaded_error" in answer]
        assert refused
        for answer in refused:
            *signs, event, end = answer.encode().split(b"\n\n")
            assert {sign[sign.index(b"event") :] for sign in signs} == {PING.strip()}
            assert end == b""
            assert event.startswith(b"event: error\ndata: ")
        await router.settles()
        metrics = await router.metrics()
    assert metrics['warmroute_client_refusals_total{client="anonymous",reason="queue_timeout"}'] == len(refused)


async def test_a_client_that_hangs_up_frees_its_place() -> None:
    async with slow_engine(saturation_wait_s=0.05) as router:
        first = asyncio.create_task(router.client.post(CHAT, json=BODIES[CHAT]))
        async with asyncio.timeout(5):
            while not router.leases:
                await asyncio.sleep(0.002)
        async with wire(router.port) as client:
            await client.send(post(CHAT, {**BODIES[CHAT], "messages": [{"role": "user", "content": "x" + TEXT}]}))
            assert (await client.head())[0] == 200
            assert len(router.parts.waiting_room) == 1
        async with asyncio.timeout(2):
            while router.parts.waiting_room:
                await asyncio.sleep(0.002)
        assert (await first).status_code == 200


async def test_http_1_0_gets_them_without_chunks() -> None:
    async with scripted(answers(STREAM_HEAD + chunk(FRAME) + chunk(b""))) as router, wire(router.port) as client:
        await client.send(post(CHAT, SMALL).replace(b"HTTP/1.1", b"HTTP/1.0"))
        status, headers = await client.head()
        assert (status, "transfer-encoding" in headers) == (200, False)
        assert (await client.rest()).endswith(COMMENT + FRAME)
