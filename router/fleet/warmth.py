"""How warm a worker is that came into service, or came back: a new engine is not flooded, nor left alone.

Its share grows through its price alone: decisions expect it at a part of its speed, which grows to all of it. No limit
is there to reach or to miss, and a worker that is the only one gets everything.
"""

import math
from collections.abc import Callable

COLD = 0.1
"""Share of its full rate that is expected of a worker at first: kernels are compiled and caches filled at its first
prompts. Danger: at 0 it would get nothing while others live."""

RAMP_S = 10.0
"""Seconds from cold to warm. Danger: at 0 a burst piles up on an engine that compiles its kernels."""


class Warmth:
    """The warmth of one worker. It is warm until `begin` is called."""

    __slots__ = ("_clock", "ramp_s", "warm_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.warm_at = -math.inf
        """Time of the clock, in seconds, from which its share is 1."""
        self.ramp_s = 0.0
        """Seconds from cold to warm; 0: warm at once."""

    def begin(self) -> None:
        """The worker has come into service, and is cold."""
        self.warm_at = self._clock() + self.ramp_s if self.ramp_s else -math.inf

    def share(self, now: float) -> float:
        """The share of its full rate that is expected of it now, from `COLD` to 1."""
        left_s = self.warm_at - now
        return 1.0 if left_s <= 0 else 1.0 - (1.0 - COLD) * min(1.0, left_s / self.ramp_s)
