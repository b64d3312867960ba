"""What an answer teaches costs nothing but the lesson: behind the last byte of an answer stands the next answer."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from router.engines.usage import MAX_TOKENS, MAX_UNSEEN_TOKENS
from tests.router.clients.files import table, write
from tests.router.fake_worker import FakeWorker, as_json, models, vllm
from tests.router.http.raw import Wire, post, wire
from tests.router.http.scripted_worker import STREAM_HEAD, ScriptedWorker, chunk
from tests.router.http.site import CHAT, GOOD
from tests.routers import MODEL, RunningRouter, running_router

BODY = json.dumps({**GOOD[CHAT], "stream": True}).encode()
FRAME = b'data: {"x": 1}\n\n'
SECRET = "spoken in confidence"


class Held(ScriptedWorker):
    """A stream of which the end is held back: each answer waits for a turn of `go_on`."""

    def __init__(self, end: bytes = FRAME) -> None:
        super().__init__(self._stream)
        self.go_on = asyncio.Semaphore(0)
        self.end = end

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(BODY))
        writer.write(STREAM_HEAD + chunk(FRAME))
        await self.go_on.acquire()
        writer.write(chunk(self.end) + chunk(b""))
        await writer.drain()


def replace_engine(router: RunningRouter) -> None:
    """Another engine stands behind the worker's URL: other blocks, other format."""
    (worker,) = router.parts.fleet.workers.values()
    assert worker.facts is not None
    facts = replace(worker.facts, block_tokens=96, generation="another")
    router.parts.fleet.on_facts(worker.id, facts)


async def whole(client: Wire) -> bytes:
    status, body = await client.answer()
    assert status == 200
    return body


def usage(**counts: object) -> bytes:
    return b'data: {"usage":%b}\n\n' % json.dumps(counts).encode()


async def test_an_engine_replaced_under_its_answer_costs_nothing() -> None:
    end = usage(prompt_tokens=9, completion_tokens=1, prompt_tokens_details={"cached_tokens": 0})
    async with Held(end) as worker, running_router(worker.url) as router, wire(router.port) as client:
        for _ in range(2):
            await client.send(post(CHAT, BODY))
            status, _ = await client.head()
            replace_engine(router)
            worker.go_on.release()
            assert (status, await client.chunked()) == (200, FRAME + end)
        counted = (await router.metrics()).items()
        ends = {name: value for name, value in counted if name.startswith("warmroute_requests_total")}
        assert [(value, 'outcome="ok"' in name) for name, value in ends.items()] == [(2, True)]


class Raising:
    """Stands for whatever may go wrong with a lesson."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error

    def __call__(self, *_: object) -> None:
        raise self._error()


ERRORS: list[Callable[[], Exception]] = [
    lambda: KeyError(SECRET),
    lambda: RecursionError(SECRET),
    lambda: UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The errors that were logged, as they would be written: these are wanted."""
    errors = [caplog.handler.format(record) for record in caplog.records if record.levelno >= logging.ERROR]
    caplog.clear()
    return errors


async def test_no_failure_writes_behind_a_complete_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it comes from: here from the end of the lease."""
    async with Held() as worker, running_router(worker.url) as router, wire(router.port) as client:
        (found,) = router.parts.fleet.workers.values()
        for _ in range(3):
            found.on_idle = [Raising(RuntimeError)]
            worker.go_on.release()
            await client.send(post(CHAT, BODY))
            assert await whole(client) == FRAME * 2
        found.on_idle = []
        await router.settles()
    assert len(told(caplog)) == 3


@pytest.mark.parametrize("error", ERRORS)
async def test_a_failed_lesson_is_counted_and_told_without_its_text(
    caplog: pytest.LogCaptureFixture, error: Callable[[], Exception]
) -> None:
    end = usage(prompt_tokens=9, completion_tokens=1, prompt_tokens_details={"cached_tokens": 0})
    async with Held(end) as worker, running_router(worker.url) as router, wire(router.port) as client:
        (encoder,) = router.parts.prompts.encoders.of(router.parts.fleet.groups["m"]).values()
        encoder.observe = Raising(error)  # type: ignore[assignment, method-assign]
        for _ in range(2):
            worker.go_on.release()
            await client.send(post(CHAT, BODY))
            assert await whole(client) == FRAME + end
        await router.settles()
        (worker_id,) = router.parts.fleet.workers
        assert (await router.metrics())[f'warmroute_reports_missing_total{{worker="{worker_id}"}}'] == 2
    first, second = told(caplog)
    assert error().__class__.__name__ in first
    assert SECRET not in first + second


async def test_a_client_does_not_pay_what_a_worker_invents() -> None:
    end = usage(prompt_tokens=MAX_TOKENS, completion_tokens=1, prompt_tokens_details={"cached_tokens": 0})
    async with Held(end) as worker, running_router(worker.url) as router:
        worker.go_on.release()
        answer = await router.client.post(CHAT, content=BODY, headers={"content-type": "application/json"})
        assert answer.status_code == 200
        await router.settles()
        metrics = await router.metrics()
        (paid,) = [value for name, value in metrics.items() if name.startswith("warmroute_client_uncached_tokens")]
        assert paid == len(BODY) + MAX_UNSEEN_TOKENS


async def test_a_client_does_not_pay_it_for_what_has_no_prompt_either(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys", table("paying", "key", more="uncached_tokens_per_minute = 1000"))
    routes = {**vllm(), "/v1/models": models(MODEL), "/score": as_json({"usage": {"prompt_tokens": MAX_TOKENS}})}
    async with FakeWorker(routes) as worker, running_router(worker.url, keys_file=str(keys)) as router:
        headers = {"authorization": "Bearer key"}
        answer = await router.client.post("/score", json={"model": MODEL, "x": "y"}, headers=headers)
        assert answer.status_code == 200
        await router.settles()
        client = router.parts.clients.find(b"Bearer key")
        assert client is not None
        assert MAX_UNSEEN_TOKENS < client.taken[1] < MAX_UNSEEN_TOKENS + 1000
