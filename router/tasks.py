"""Background tasks: they are kept by reference, and restarted and reported when they crash. The code that starts them
stops them, with `cancel_all`."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Self

from router.observe.instruments import Counter

RESTART_S = 1.0
"""Before the first restart; doubled with each that follows soon, to `MAX_RESTART_S`."""
MAX_RESTART_S = 30.0
STEADY_S = 60.0
"""After a task that ran for this many seconds, the next restart comes soon again."""
CANCEL_AGAIN_S = 5.0
"""Seconds after which a task that has not ended is cancelled once more: longer than any task takes to tidy up."""
log = logging.getLogger("warmroute")

Start = Callable[[], Coroutine[object, object, None]]


async def cancel_all(tasks: Iterable["asyncio.Task[None]"], again_s: float = CANCEL_AGAIN_S) -> None:
    """Cancel these tasks, and wait until all have ended.

    One cancellation is not always enough. `asyncio.wait_for` of Python 3.11 loses it when what is waited for ends at
    the same moment, and dnspython calls `wait_for`: an endless task goes on as if nothing had happened.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=again_s)


class Background:
    """A set of endless tasks, running while its `async with` does."""

    def __init__(self, restarts: Counter | None = None, wait_s: float = RESTART_S) -> None:
        self.restarts = restarts or Counter("restarts", "", ("task",))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wait_s = wait_s
        self._waits: dict[str, float] = {}
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        await cancel_all(self._tasks.values())

    def start(self, name: str, work: Start) -> None:
        """Run `work()`; should it ever end, say why and run it again."""
        task = self._tasks[name] = asyncio.create_task(work(), name=name)
        began = time.monotonic()
        task.add_done_callback(lambda ended: self._ended(name, work, ended, began))

    def _ended(self, name: str, work: Start, task: asyncio.Task[None], began: float) -> None:
        if self._closing or task.cancelled():
            return
        if time.monotonic() - began > STEADY_S:
            self._waits.pop(name, None)
        wait_s = self._waits.get(name, self._wait_s)
        self._waits[name] = min(MAX_RESTART_S, 2 * wait_s)
        self.restarts.add(1, (name,))
        log.error("background task %s ended, starting it again", name, exc_info=task.exception())
        asyncio.get_running_loop().call_later(wait_s, self._again, name, work)

    def _again(self, name: str, work: Start) -> None:
        if not self._closing:
            self.start(name, work)
