"""The order of one source's batches: what is applied when, what is asked for again, and whether anything was missed.

Batches are numbered from 0 in each engine process. A number that is too high is a gap: the missing batches are asked
for, and what comes meanwhile is held. A number that is too low is a new process, unless it was repeated a moment ago.
Silence says nothing. What must not be broken: batches are applied in order and once, and `complete` is true only while
everything since number 0 was applied.
"""

from dataclasses import dataclass, field
from enum import Enum

MAX_HELD = 10_000
"""Batches held while others are asked for: engines keep as many to be repeated."""
MAX_HELD_BYTES = 256 << 20
"""Bytes of the batches that are held at most. Danger: 10,000 of the largest batches are 640 GB."""
ANSWER_S = 3.0
"""Seconds within which the missing batches must have come."""
LATE_S = 2.0
"""Seconds within which a batch that was repeated may come a second time, by the other socket."""


class Sign(Enum):
    """What a source's batches show beside their events."""

    RESTARTED = "restarted"
    """A new engine process, which holds nothing."""
    MISSED = "missed"
    """Batches are lost for good."""


Step = bytes | Sign
"""A payload to apply, or what was seen."""


@dataclass(slots=True)
class Stream:
    """The order of one source's batches. `repeats`: missing batches can be asked for."""

    repeats: bool
    complete: bool = False
    """Has everything since the engine's start been applied?"""
    asks: int | None = None
    """The number from which on the caller is to ask for batches; the caller takes it away."""
    _next: int | None = None
    _asked_at: float | None = None
    """The time at which the missing batches were asked for; None while none are."""
    _asked_for: int = -1
    """The number that was asked for last."""
    _heard_first: bool = False
    _late_until: float = 0.0
    _held: list[tuple[int, bytes]] = field(default_factory=list)
    _held_bytes: int = 0

    def begin(self, now: float) -> None:
        """The subscription was made: ask for all that was before it."""
        if self.repeats:
            self._ask(0, now)

    def live(self, number: int, payload: bytes, now: float) -> list[Step]:
        """Take in a batch that has come by the subscription. Returns what is to be done now."""
        if self._asked_at is not None:
            self._hold(number, payload)
            return self.give_up(now) if len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES else []
        if self._next is not None and number < self._next:
            if now < self._late_until:
                return []
            return [Sign.RESTARTED, *self._restart(number, payload, now)]
        if self._next is None:
            return self._restart(number, payload, now)
        return self._go_on(number, payload, now)

    def repeated(self, number: int, payload: bytes, now: float) -> list[Step]:
        """Take in a batch that was asked for. Returns what is to be done now."""
        if self._asked_at is None:
            return []
        self._asked_at = now
        steps: list[Step] = []
        if not self._heard_first:
            self._heard_first = True
            if self._next is None:
                self.complete = number == 0
                self._next = number
        if self._next is not None and number < self._next:
            return []
        if number != self._next:
            steps = self._miss()
        self._next = number + 1
        return [*steps, payload]

    def end(self, now: float) -> list[Step]:
        """All that was asked for has come. Returns what is to be done now."""
        if self._asked_at is None:
            return []
        if self._next is None:
            self._next = 0  # it has published nothing yet
            self.complete = not self._held or self._held[0][0] == 0
        return self._settle(now)

    def give_up(self, now: float) -> list[Step]:
        """Wait no longer for what was asked for. Returns what is to be done now."""
        missed = self._miss() if self._next is not None else []
        self._next = None
        return [*missed, *self._settle(now)]

    def is_late(self, now: float) -> bool:
        """Should what was asked for have come by now?"""
        return self._asked_at is not None and now - self._asked_at > ANSWER_S

    def _restart(self, number: int, payload: bytes, now: float) -> list[Step]:
        self.complete = number == 0
        if number and self.repeats and self._next is not None:
            self._next = None
            self._ask(0, now)
            self._hold(number, payload)
            return []
        self._next = number + 1
        return [payload]

    def _go_on(self, number: int, payload: bytes, now: float) -> list[Step]:
        if number == self._next:
            self._next = number + 1
            return [payload]
        if self.repeats and self._next is not None:
            self._ask(self._next, now)
            self._hold(number, payload)
            return []
        missed = self._miss()
        self._next = number + 1
        return [*missed, payload]

    def _ask(self, number: int, now: float) -> None:
        self.asks = self._asked_for = number
        self._asked_at, self._heard_first = now, False

    def _hold(self, number: int, payload: bytes) -> None:
        self._held.append((number, payload))
        self._held_bytes += len(payload)

    def _miss(self) -> list[Step]:
        self.complete = False
        return [Sign.MISSED]

    def _settle(self, now: float) -> list[Step]:
        """Apply what was held: what was repeated is passed over. A hole in it is asked for once; then it is lost for
        good."""
        held, self._held, self._held_bytes, self._asked_at = self._held, [], 0, None
        self._late_until = now + LATE_S
        steps: list[Step] = []
        for place, (number, payload) in enumerate(held):
            if self._next is None:
                self._next, self.complete = number, number == 0
            if number < self._next:
                continue
            if number > self._next:
                if self.repeats and self._next != self._asked_for:
                    self._ask(self._next, now)
                    for each in held[place:]:
                        self._hold(*each)
                    break
                steps += self._miss()
            steps.append(payload)
            self._next = number + 1
        return steps
