"""No body of up to 1 MB stalls a running stream: a real router, real sockets, one stream with a chunk every 3 ms.

Each kind of body is sent in pairs with a small one, and the longest gap between two chunks of the stream is compared.
Few pairs are enough where none shows a stall; else the median of many decides, since machines are noisy. What other
processes take of the machine is no stall: of a gap, no more is counted than the CPU time that all threads of this
process spent in it. The worker and the clients have an event loop of their own, in a thread.
"""

import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from router.build.run import SWITCH_INTERVAL_S
from tests.attacks.heavy_bodies import KINDS, LOAD_KINDS, heavy
from tests.router.clients.files import table, write
from tests.router.fake_worker import Answer, FakeWorker, as_json, models, sglang, vllm
from tests.router.http.raw import post, wire
from tests.router.http.scripted_worker import STREAM_HEAD, chunk
from tests.routers import MODEL, chat, running_router
from tests.tokenizer_cache.small import CHATML, small_raw

pytestmark = pytest.mark.alone

FEW, MANY = 3, 10
"""Pairs of each kind."""
MOST_S: Final = 0.015
"""By so much a heavy body may lengthen the longest gap."""
PERIOD_S: Final = 0.003
CHAT: Final = "/v1/chat/completions"
FREE, LIMITED, ADMIN = "key-free", "key-limited", "admin"
CLIENT: Final = f'models = ["{MODEL}"]\ncache_salt = "own"'
LIGHT: Final = post("/v1/completions", {"model": MODEL, "prompt": "hello"}, f"authorization: Bearer {FREE}")
ANSWER: Final = b'{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


class Streamer(FakeWorker):
    """Streams for ever where that is asked for, and answers everything else at once."""

    def __init__(self, routes: dict[str, Answer]) -> None:
        super().__init__(routes)
        self._streaming: set[asyncio.Task[Any] | None] = set()

    async def _read_body(self, target: str, length: int, reader: asyncio.StreamReader) -> None:
        if b'"stream": true' in (await reader.readexactly(length))[-100:]:
            self._streaming.add(asyncio.current_task())

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer.status != 404:
            await super()._answer(answer, reader, writer)
        elif asyncio.current_task() not in self._streaming:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
            writer.write(head + ANSWER)
        else:
            writer.write(STREAM_HEAD)
            while not writer.is_closing():
                writer.write(chunk(b'data: {"choices":[]}\n\n'))
                await asyncio.sleep(PERIOD_S)


Settled = Callable[[], Coroutine[Any, Any, None]]


class Outside:
    """The worker, the stream's client and the attacker, in a thread with an event loop of its own."""

    def __init__(self, routes: dict[str, Answer]) -> None:
        self._loop = asyncio.new_event_loop()
        self._router_loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.worker = Streamer(routes)
        self.arrivals: list[tuple[float, float]] = []
        """Of chunks: the time, and this process's CPU time."""
        self._listener: asyncio.Task[None] | None = None

    async def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def __aenter__(self) -> "Outside":
        self._thread.start()
        await self.call(self.worker.start())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _stop(self) -> None:
        await self.worker.stop()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=5)

    async def listen(self, port: int) -> None:
        """Open the stream."""
        self._listener = asyncio.create_task(self._listen(port))
        await self._hear(20)

    async def _hear(self, count: int) -> None:
        """Wait for so many chunks more."""
        last = len(self.arrivals) + count
        while len(self.arrivals) < last:
            await asyncio.sleep(PERIOD_S)

    async def hang_up(self) -> None:
        """Leave the stream."""
        assert self._listener is not None
        self._listener.cancel()
        await asyncio.wait([self._listener])

    async def _listen(self, port: int) -> None:
        async with wire(port) as client:
            await client.send(post(CHAT, chat(stream=True), f"authorization: Bearer {FREE}"))
            while await client.reader.read(1 << 16):
                self.arrivals.append((time.monotonic(), time.process_time()))

    async def longest_gap(self, port: int, request: bytes, settled: "Settled") -> tuple[float, int]:
        """Between two chunks, from a request's first byte until a while after its answer, when the router has `settled`
        on its own loop; and the answer's status."""
        await self._hear(3)  # this body was made on the router's loop
        first = len(self.arrivals) - 1
        async with wire(port) as client:
            await client.send(request)
            status, _ = await client.answer()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(settled(), self._router_loop))
        await self._hear(8)
        times = self.arrivals[first:]
        return max(min(at - before, cpu - cpu_before) for (before, cpu_before), (at, cpu) in pairwise(times)), status


def save_tokenizer(folder: Path) -> str:
    """A tokenizer that loads at once."""
    small_raw().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))
    return str(folder / "tokenizer.json")


@pytest.fixture(autouse=True)
def as_served() -> Iterator[None]:
    """Threads take turns as they do in a router of its own."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    yield
    sys.setswitchinterval(before)


class Scene(NamedTuple):
    """A worker, how the router reads its prompts, and the kinds of bodies that are sent, with their clients' keys."""

    routes: dict[str, Answer]
    tokenizer: str
    kinds: list[tuple[str, str]]


IDS: Final = as_json({"token_ids": [7] * 900_000})
TOLD: Final = ("8,000 messages", "spaces", "keys in a message")
SCENES: Final = {
    "exact": Scene(vllm() | {"/v1/models": models(MODEL)}, "", [(kind, FREE) for kind in KINDS]),
    "limited": Scene(
        vllm() | {"/v1/models": models(MODEL)},
        "",
        [(kind, LIMITED) for kind in ("fields", "8,000 messages", "token ids")]
        + [(kind, ADMIN if "admin" in kind or "explain" in kind else LIMITED) for kind in LOAD_KINDS],
    ),
    "told": Scene(
        vllm() | {"/v1/models": models(MODEL), CHAT + "/render": IDS},
        "package:no_such",
        [(kind, FREE) for kind in TOLD],
    ),
    "text": Scene(
        sglang() | {"/v1/models": models(MODEL, owner="sglang")},
        "off",
        [(kind, FREE) for kind in (*TOLD, "parts", "500,000 ids", "input items", "results")],
    ),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_no_body_stalls_a_stream(scene: Scene, tmp_path: Path) -> None:
    longer: dict[str, float] = {}
    keys = write(tmp_path / "keys", table("free", FREE), table("limited", LIMITED, more=CLIENT), table("a", ADMIN))
    tokenizer = scene.tokenizer or save_tokenizer(tmp_path)
    async with (
        Outside(scene.routes) as outside,
        running_router(outside.worker.url, tokenizer=tokenizer, keys_file=str(keys)) as router,
    ):

        async def settled() -> None:
            await router.parts.prompts.asker.idle()
            while router.parts.prompts.pool.backlog:
                await asyncio.sleep(PERIOD_S)

        async def gap(request: bytes) -> float:
            gap_s, status = await outside.call(outside.longest_gap(router.port, request, settled))
            assert status in (200, 400, 413)
            return float(gap_s)

        await outside.call(outside.listen(router.port))
        for kind, key in scene.kinds:
            pairs: list[float] = []
            while len(pairs) < FEW or (len(pairs) < MANY and max(pairs) > MOST_S):
                pairs.append(await gap(heavy(kind, len(pairs), key)) - await gap(LIGHT))
            longer[kind] = statistics.median(pairs)
        await outside.call(outside.hang_up())
    assert {kind: f"{1000 * gap_s:.1f} ms" for kind, gap_s in longer.items() if gap_s > MOST_S} == {}
