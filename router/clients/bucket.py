"""A token bucket: a number of units per minute, spread evenly; up to one minute's units can be saved.

It may be overdrawn, because a request's cost is known only after it was let in. The debt is paid back before the next
request is let in, so over time no more than the limit is taken.
"""

from collections.abc import Callable

MINUTE_S = 60.0


class Bucket:
    """Units are what the limit counts: requests or tokens."""

    __slots__ = ("_at", "_clock", "_level", "per_minute")

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._level = float(per_minute)
        self._at = clock()

    @property
    def level(self) -> float:
        """Units that may be taken now; negative when there is a debt."""
        now = self._clock()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / MINUTE_S)
        self._at = now
        return self._level

    def take(self, amount: float) -> None:
        """Take `amount`, even if the bucket holds less; a negative amount gives back."""
        self._level = min(self.per_minute, self.level - amount)

    def wait_s(self, wanted: float) -> float:
        """Seconds until the bucket holds `wanted`; 0 when it does."""
        return max(0.0, (min(wanted, self.per_minute) - self.level) * MINUTE_S / self.per_minute)

    def reset_s(self) -> float:
        """Seconds until it is full, if nothing more is taken."""
        return self.wait_s(self.per_minute)

    def change(self, per_minute: int) -> None:
        """Set another limit. Units taken before stay taken."""
        taken = self.per_minute - self.level
        self.per_minute = per_minute
        self._level = per_minute - min(taken, per_minute)
