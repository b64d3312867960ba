"""What other routers have on each worker, as last read. No I/O: `exchange` reads.

A part that has not been written anew for `LIFE_S` no longer counts, whatever happens to Redis meanwhile: its router is
taken for dead. Queued tokens are worked off while they wait, so they count less the older the part is.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import NamedTuple

from router.load.part import COUNT_BITS, MAX_COUNT, BadPartError, Part

LIFE_S = 3.0
"""Lifetime of a part, here and in Redis. A router writes at least every `exchange.BEAT_S`; a killed one is forgotten
after this and one more beat at most."""


class Elsewhere(NamedTuple):
    """What all other routers have on one worker."""

    in_flight: int
    queued_tokens: int
    """Prefill work still to be done, as estimated for now."""
    held_tokens: int


NOTHING = Elsewhere(0, 0, 0)


class Others:
    """All other routers' parts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._parts: dict[bytes, Part] = {}
        self._settled: dict[bytes, tuple[Part, frozenset[int]]] = {}
        self._totals: dict[int, int] = {}
        self.broken = 0
        """Parts that could not be read: of another version, or not written by a router."""

    @property
    def routers(self) -> int:
        """Other routers that live."""
        return len(self._parts)

    def read(self, answers: Mapping[bytes, bytes | None]) -> None:
        """The parts of all other routers as they are now; None for one that is gone."""
        now = self._clock()
        parts: dict[bytes, Part] = {}
        for router, raw in answers.items():
            known = self._parts.get(router)
            if known is not None and known.raw == raw:
                parts[router] = known
            elif raw is not None:
                try:
                    parts[router] = Part(raw, now)
                except BadPartError:
                    self.broken += 1
        self._parts = parts
        self.expire()

    def expire(self) -> None:
        """Forget the routers that have written nothing new for too long."""
        oldest = self._clock() - LIFE_S
        late = [router for router, part in self._parts.items() if part.read_at < oldest]
        for router in late:
            del self._parts[router]

    def of(self, number: int, rate: float, now: float) -> Elsewhere:
        """What others have on the worker `number`, which prefills `rate` tokens per second."""
        if not self._parts:
            return NOTHING
        in_flight = queued = held = 0
        lowest = number << COUNT_BITS
        for part in self._parts.values():  # a part's `find`, without its call: this runs for each candidate
            heads = part.heads
            place = bisect_left(heads, lowest)
            if place < len(heads) and (count := heads[place] - lowest) <= MAX_COUNT:
                in_flight += count
                held += part.held[place]
                if tokens := part.queued[place]:
                    queued += max(0, tokens - int((now - part.read_at) * rate))
        return Elsewhere(in_flight, queued, held)

    def total(self, number: int) -> int:
        """Requests in flight that others have on the worker, as of the last `settle`."""
        return self._totals.get(number, 0)

    def settle(self) -> dict[int, int]:
        """Bring the totals up to date. Returns those that changed. Costs some 20 us per part of 1,000 workers that
        changed: for now and then, not for every request."""
        steps: dict[int, int] = {}
        for router, (_, heads) in list(self._settled.items()):
            if router not in self._parts:
                del self._settled[router]
                _add(steps, heads, -1)
        for router, part in self._parts.items():
            before = self._settled.get(router)
            if before is not None and before[0] is part:
                continue
            heads = part.counts()
            self._settled[router] = part, heads
            known = before[1] if before is not None else frozenset()
            _add(steps, heads - known, 1)
            _add(steps, known - heads, -1)
        changed = [number for number, step in steps.items() if step]
        for number in changed:
            self._totals[number] = self._totals.get(number, 0) + steps[number]
            if not self._totals[number]:
                del self._totals[number]
        return {number: self._totals.get(number, 0) for number in changed}


def _add(steps: dict[int, int], heads: frozenset[int], sign: int) -> None:
    get = steps.get
    for head in heads:
        number = head >> COUNT_BITS
        steps[number] = get(number, 0) + sign * (head & MAX_COUNT)
