"""Writing records off the hot path: a bounded queue, and one task that hands it to a sink in small slices.

Records stay in order. The event loop gets its turn at least every `TURN_S`. A full queue refuses new records and counts
them. A crash loses one slice and is reported, and the task goes on. One task owns the sink: a cancelled request cancels
no write.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from router.prefix.index import Record
from router.tasks import cancel_all

TURN_S = 0.001
"""Longest time that it works before other tasks get the loop."""
TURN_RECORDS = 32


class RecordSink(Protocol):
    """The place that records are written to."""

    async def apply(self, records: list[Record]) -> bool:
        """Write the records, in order. Must not raise. Returns True when the sink has other work left: it is called
        again soon, with an empty list if there are no records."""
        ...


class RecordBatcher:
    """Use as `async with`; leaving it writes what is queued. `submit`, `withdraw` and `wake` also work while it is
    stopped."""

    def __init__(
        self,
        sink: RecordSink,
        clock: Callable[[], float],
        report: Callable[[BaseException], None],
        max_queued: int = 10_000,
        slice_records: int = 1,
    ) -> None:
        self.refused = 0
        """Records refused because the queue was full."""
        self._sink = sink
        self._clock = clock
        self._report = report
        self._max_queued = max_queued
        self._slice_records = slice_records
        self._queue: deque[Record] = deque()
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Records waiting."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.flush()
        if self._task is not None:
            await cancel_all([self._task])
            self._task = None

    def submit(self, record: Record) -> None:
        """Queue one record. Never blocks, never raises."""
        if len(self._queue) >= self._max_queued:
            self.refused += 1
            return
        self._queue.append(record)
        self.wake()

    def withdraw(self, holder: str) -> None:
        """Remove the queued records of one holder."""
        self._queue = deque(record for record in self._queue if record.holder != holder)

    def wake(self) -> None:
        """Call the sink soon, even without a record: it has other work to do."""
        self._idle.clear()
        self._woken.set()

    async def flush(self) -> None:
        """Wait until all submitted records are written and the sink has nothing left to do. Needs a started batcher."""
        await self._idle.wait()

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="record batcher")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._report(error)
            self._start()
            if self._queue:
                self._woken.set()
            else:  # not called again before a new record comes: a sink whose other work crashes must not spin
                self._idle.set()

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._drain()
            self._idle.set()

    async def _drain(self) -> None:
        unfinished = not self._queue
        turn_ends, left = self._clock() + TURN_S, TURN_RECORDS
        while self._queue or unfinished:
            size = min(self._slice_records, len(self._queue))
            unfinished = await self._sink.apply([self._queue.popleft() for _ in range(size)])
            left -= max(1, size)
            if left <= 0 or self._clock() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends, left = self._clock() + TURN_S, TURN_RECORDS
