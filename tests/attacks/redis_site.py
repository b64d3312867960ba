"""Two whole routers on one Redis, in a thread of their own, under requests that go on; and a hand in that Redis."""

import asyncio
import gc
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from router.settings import Secret
from tests.engines import EngineThread, quick_profile
from tests.router.clients.files import table, write
from tests.routers import MODEL, RunningRouter, chat, running_router
from tests.servers import RedisServer

SECRET = "a secret of all routers"
TAG = "{warmroute}:2:"
KEY = {"authorization": "Bearer key"}
ADMIN = {"authorization": "Bearer admin"}
WORDS = "the quick brown fox jumps over the lazy dog and runs far away from here "
TICK_S = 0.002
Result = TypeVar("Result")


class Site:
    """Use as `with`. What is asked of it from the test's thread runs in the routers' loop."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="routers", daemon=True)
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self.engine = EngineThread(model=MODEL, speed=50.0, profile=quick_profile(max_model_len=65536))
        self.routers: list[RunningRouter] = []
        self.answers = 0
        self.failures: list[str] = []
        self.worst_s = 0.0
        """Latest that the loop woke up, since it was set to 0."""

    def __enter__(self) -> Self:
        self.engine.__enter__()
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.engine.__exit__(kind, error, traceback)

    def call(self, work: Coroutine[Any, Any, Result], limit_s: float = 30.0) -> Result:
        """Run it in the loop, and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def until(self, condition: Callable[[], object], limit_s: float = 20.0) -> None:
        """Wait here until it is so."""
        ends = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < ends, "it did not come to that"
            time.sleep(0.02)

    def served(self, more: int) -> None:
        """Wait until so many more requests were answered, and none failed."""
        wanted = self.answers + more
        self.until(lambda: self.answers >= wanted or self.failures)
        assert not self.failures, self.failures[0]

    def stall_s(self, seconds: float) -> float:
        """The longest that the loop stood still in the next `seconds`."""
        self.worst_s = 0.0
        time.sleep(seconds)
        return self.worst_s

    def memory_bytes(self) -> int:
        """Of this process."""
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def refused(self) -> dict[str, float]:
        """What the routers refused, by kind."""
        total: dict[str, float] = {}
        for router in self.routers:
            for (kind,), count in router.parts.link_counters.refused.values.items():
                total[kind] = total.get(kind, 0) + count
        return total

    async def cached(self, router: RunningRouter, content: str) -> int:
        """The most that the router believes any worker has of it."""
        answer = await router.client.post("/admin/explain", json=chat(content), headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return max(int(candidate["cached_tokens"]) for candidate in answer.json()["candidates"])

    async def ask(self, router: RunningRouter, content: str) -> None:
        """One prompt."""
        answer = await router.client.post("/v1/chat/completions", json=chat(content, max_tokens=2), headers=KEY)
        if answer.status_code != 200:
            self.failures.append(f"{answer.status_code} {answer.text[:300]}")
        self.answers += 1

    async def _start(self) -> None:
        keys = write(self._folder / "keys", table("team", "key", more="requests_per_minute = 1000000"))
        settings: dict[str, Any] = {"redis": self._url, "index_secret": Secret(SECRET), "keys_file": str(keys)}
        settings |= {"redis_timeout_ms": 100.0, "block_tokens": 16}
        for _ in range(2):
            self.routers.append(await self._stack.enter_async_context(running_router(self.engine.url, **settings)))
        self._tasks = [asyncio.create_task(self._ask_on(number)) for number in range(2)]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._stack.aclose()

    async def _ask_on(self, number: int) -> None:
        """Conversations that both routers see by turns, each prompt longer than the one before."""
        rng = random.Random(number)
        while True:
            content = f"{WORDS * 150} {rng.random()} "
            for turn in range(6):
                content += f"{WORDS * 10} {turn}"
                try:
                    await self.ask(self.routers[(number + turn) % 2], content)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                await asyncio.sleep(0.01)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self.worst_s = max(self.worst_s, loop.time() - due)


def keys_of(server: RedisServer) -> list[bytes]:
    """What lies under the routers' prefix."""
    with server.client() as client:
        return sorted(client.keys(f"{TAG}*"))
