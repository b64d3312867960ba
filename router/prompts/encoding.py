"""Runs encoders off the event loop, once for equal prompts, and reads long bodies there.

Short work is done on the loop, because a thread switch would cost more. Long work is done in a small pool: the
tokenizer releases the GIL while it works.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Protocol, Self, TypeVar

from tokenizer_cache.bodies.request import Request
from tokenizer_cache.prompt import Prompt

INLINE_BYTES = 6144
"""The event loop itself encodes up to this many unseen bytes: about 1,500 tokens, 1.5 to 2 ms with `tokenizers`."""

Encoded = Callable[[Prompt | None], None]
Result = TypeVar("Result")


MAX_BACKLOG = 512
"""Distinct prompts that may wait for the pool. Further prompts stay unknown to the index, which is cheaper than a
backlog of minutes."""
ENCODE_NICENESS = 5
"""Added to the process's niceness. Encoding can wait: where cores are few, the event loop goes first."""
MAX_NICENESS = 19


class Encoder(Protocol):
    """Turns requests of one model and format into prompts."""

    def recognise(self, request: Request) -> Prompt:
        """The prompt as far as it is known without encoding. Tens of microseconds where its beginning is known, else 4
        to 15 us per KB; safe in any thread. Raises only NotRead, and only for hasty items."""
        ...

    def tail_bytes(self, request: Request) -> int:
        """How many bytes of the request's text `encode` would have to read."""
        ...

    def encode_briefly(self, request: Request) -> Prompt | None:
        """Encode a prompt of which only a short tail is new; None where that would still take long."""
        ...

    def encode(self, request: Request) -> Prompt:
        """The full prompt. Takes long; safe in any thread."""
        ...

    def observe(self, request: Request, prompt_tokens: int) -> None:
        """The engine's own count of the prompt's tokens: corrects estimates where ids are not exact."""
        ...


class EncodePool:
    """A few threads for long prompts, with single flight: equal prompts at the same time are encoded once."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="encode", initializer=_step_back)
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._waiting: dict[tuple[int, bytes], list[Encoded]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.refused = 0
        """Prompts not encoded because too many were waiting."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for executor in (self._executor, self._readers):
            executor.shutdown(wait=False, cancel_futures=True)

    @property
    def backlog(self) -> int:
        """Distinct prompts that are being encoded or wait for it."""
        return len(self._waiting)

    async def read(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done in the one thread that reads long bodies. It happens before the decision, so it
        has its own thread and does not wait for encoding. The event loop waits at most for one of its calls into C."""
        assert self._loop is not None
        return await self._loop.run_in_executor(self._readers, work)

    def submit(self, encoder: Encoder, request: Request, done: Encoded) -> None:
        """Encode in a thread, as `run` does."""
        self.run((id(encoder), request.digest), partial(_encode_anew, encoder, request), done)

    def run(self, key: tuple[int, bytes], work: Callable[[], Prompt], done: Encoded) -> None:
        """Do `work` in a thread, once for all that ask for `key` meanwhile; `done` is called on the event loop, with
        None when it failed or too many wait already."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(done)
            return
        if len(self._waiting) >= MAX_BACKLOG:
            self.refused += 1
            done(None)
            return
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # no thread can be started
            self.refused += 1
            done(None)
            return
        self._waiting[key] = [done]
        future.add_done_callback(lambda finished: self._deliver(key, finished))

    def _deliver(self, key: tuple[int, bytes], finished: "Future[Prompt]") -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._finish, key, finished)

    def _finish(self, key: tuple[int, bytes], finished: "Future[Prompt]") -> None:
        """Call every waiting callback separately: an error in one must not cost another its answer."""
        assert self._loop is not None
        waiting = self._waiting.pop(key, [])
        failed = finished.cancelled() or finished.exception() is not None
        prompt = None if failed else finished.result()
        for done in waiting:
            self._loop.call_soon(done, prompt)
        if not finished.cancelled():
            error = finished.exception()
            if error is not None:
                self._loop.call_exception_handler({"message": "encoding failed", "exception": error})


def _encode_anew(encoder: Encoder, request: Request) -> Prompt:
    """Recognise again before encoding: while the request waited, an earlier turn of its conversation may have become
    known."""
    encoder.recognise(request)
    return encoder.encode(request)


def _step_back() -> None:
    """Lower this thread's priority (on Linux niceness belongs to the thread)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + ENCODE_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(MAX_NICENESS, niceness))
