"""No body of up to 1 MB stalls a running stream: a real router, real sockets, one stream with a chunk every 3 ms.

Each kind of body is sent in pairs with a small one, and the longest gap between two chunks of the stream is compared:
medians of the pairs, since machines are noisy. The worker and the clients have an event loop of their own, in a thread.
"""

import asyncio
import json
import statistics
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from router.build.run import SWITCH_INTERVAL_S
from tests.attacks.heavy_bodies import KINDS, heavy
from tests.router.fake_worker import Answer, FakeWorker, models, vllm
from tests.router.http.raw import post, wire
from tests.router.http.scripted_worker import STREAM_HEAD, chunk
from tests.routers import MODEL, chat, running_router
from tests.tokenizer_cache.small import CHATML, small_raw

PAIRS: Final = 10
MOST_S: Final = 0.02
"""By so much a heavy body may lengthen the longest gap."""
PERIOD_S: Final = 0.003
CHAT: Final = "/v1/chat/completions"
ANSWER: Final = b'{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


class Streamer(FakeWorker):
    """Streams for ever where that is asked for, and answers everything else at once."""

    def __init__(self) -> None:
        super().__init__({**vllm(), "/v1/models": models(MODEL)})
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


class Outside:
    """The worker, the stream's client and the attacker, in a thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.worker = Streamer()
        self.arrivals: list[float] = []
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
            await client.send(post(CHAT, chat(stream=True)))
            while await client.reader.read(1 << 16):
                self.arrivals.append(time.monotonic())

    async def longest_gap(self, port: int, request: bytes) -> tuple[float, int]:
        """Between two chunks, from a request's first byte until a while after its answer; and its status."""
        await self._hear(3)  # this body was made on the router's loop
        first = len(self.arrivals) - 1
        async with wire(port) as client:
            await client.send(request)
            status, _ = await client.answer()
        await self._hear(8)
        times = self.arrivals[first:]
        return max(after - before for before, after in pairwise(times)), status


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


@pytest.mark.timeout(180)
async def test_no_body_stalls_a_stream(tmp_path: Path) -> None:
    longer: dict[str, float] = {}
    async with Outside() as outside, running_router(outside.worker.url, tokenizer=save_tokenizer(tmp_path)) as router:

        async def gap(path: str, body: Any) -> float:
            gap_s, status = await outside.call(outside.longest_gap(router.port, post(path, body)))
            assert status in (200, 400)
            return float(gap_s)

        await outside.call(outside.listen(router.port))
        for kind in KINDS:
            pairs = [await gap(*heavy(kind, number)) - await gap(CHAT, chat()) for number in range(PAIRS)]
            longer[kind] = statistics.median(pairs)
        await outside.call(outside.hang_up())
    assert {kind: f"{1000 * gap_s:.1f} ms" for kind, gap_s in longer.items() if gap_s > MOST_S} == {}
