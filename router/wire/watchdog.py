"""Time limits for many requests at the cost of one timer.

Each request says in which stage it is and until when; one task checks all of them a few times a second and cancels the
late ones. A timer per await would cost more than the await.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Self

TICK_S = 0.2
"""Seconds by which a limit may strike late. Limits are seconds; a finer tick would only burn CPU."""


class Stage(Enum):
    """What a request waits for."""

    UPLOAD = "upload"
    CONNECT = "connect"
    FIRST_BYTE = "first_byte"
    SILENCE = "silence"
    CLIENT_STALL = "client_stall"
    NONE = "none"


class StageTimeoutError(Exception):
    """A stage took longer than its limit."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.value)
        self.stage = stage


class Watch:
    """One request's time limits. A context manager; inside, `enter(stage, limit)` before each await that may hang.

    When the limit strikes, the running task is cancelled and the `with` block raises StageTimeoutError instead."""

    __slots__ = ("_clock", "_task", "_watches", "deadline", "fired", "stage")

    def __init__(self, watches: "dict[Watch, None]", clock: Callable[[], float]) -> None:
        self._watches = watches
        self._clock = clock
        self._task: asyncio.Task[object] | None = None
        self.deadline = float("inf")
        self.stage = Stage.NONE
        self.fired = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._watches[self] = None
        return self

    def enter(self, stage: Stage, limit_s: float) -> None:
        """From now on the request is in `stage`, for at most `limit_s` seconds."""
        self.stage = stage
        self.deadline = self._clock() + limit_s

    def extend(self, stage: Stage, deadline: float) -> None:
        """As `enter`, with a deadline by this watchdog's clock."""
        self.stage = stage
        self.deadline = deadline

    def rest(self) -> None:
        """No limit until the next `enter`."""
        self.deadline = float("inf")

    def strike(self) -> None:
        """Cancel the late request. For the watchdog only."""
        self.fired = True
        self.deadline = float("inf")
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watches.pop(self, None)
        if self.fired and exc_type is asyncio.CancelledError and self._task is not None:
            self.fired = False
            if self._task.uncancel() == 0:  # else another cancellation came too, and takes precedence
                raise StageTimeoutError(self.stage) from None


class Watchdog:
    """All running watches."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._watches: dict[Watch, None] = {}

    def watch(self) -> Watch:
        """A new watch, not yet running."""
        return Watch(self._watches, self._clock)

    def check(self) -> int:
        """Strike all late watches. Returns their number."""
        now = self._clock()
        late = [watch for watch in self._watches if watch.deadline < now]
        for watch in late:
            watch.strike()
        return len(late)

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.check()
