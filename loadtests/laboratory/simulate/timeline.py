"""The virtual clock. Nothing waits: time jumps to the next thing that happens."""

import heapq
from collections.abc import Callable
from typing import Any


class Timeline:
    """Calls in order of their time; those of one time in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._asked = 0

    def clock(self) -> float:
        """Virtual seconds since the start: what `time.monotonic` is to a serving router."""
        return self.now

    def at(self, when: float, call: Callable[..., None], *arguments: Any) -> None:
        """Schedule `call` for `when`, or for now if that is past."""
        self._asked += 1
        heapq.heappush(self._next, (max(when, self.now), self._asked, call, arguments))

    def step(self) -> bool:
        """Run the next call. Returns False when there is none."""
        if not self._next:
            return False
        self.now, _, call, arguments = heapq.heappop(self._next)
        call(*arguments)
        return True

    def run(self, until: float) -> None:
        """Run all calls that are due by `until`."""
        while self._next and self._next[0][0] <= until:
            self.step()
        self.now = max(self.now, until)
