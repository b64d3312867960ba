"""Background tasks: kept by reference, restarted when they crash, and their crash reported. Who starts them stops
them."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

RESTART_S = 1.0
log = logging.getLogger("warmroute")

Start = Callable[[], Coroutine[object, object, None]]


class Background:
    """A set of endless tasks, running while its `async with` does."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def start(self, name: str, work: Start) -> None:
        """Run `work()`; should it ever end, say why and run it again."""
        task = self._tasks[name] = asyncio.create_task(work(), name=name)
        task.add_done_callback(lambda ended: self._ended(name, work, ended))

    def _ended(self, name: str, work: Start, task: asyncio.Task[None]) -> None:
        if self._closing or task.cancelled():
            return
        log.error("background task %s ended, starting it again", name, exc_info=task.exception())
        asyncio.get_running_loop().call_later(RESTART_S, self._again, name, work)

    def _again(self, name: str, work: Start) -> None:
        if not self._closing:
            self.start(name, work)
