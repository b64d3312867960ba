"""What other routers have on each worker, as last read. No I/O: `load_exchange` reads.

A part that has not been written anew for `LIFE_S` no longer counts, whatever happens to Redis meanwhile: its router is
taken for dead. Queued tokens are worked off while they wait, so they count less the older the part is.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import add
from typing import NamedTuple

from router.fleet.load_part import COUNT_BITS, MAX_COUNT, Part

LIFE_S = 3.0
"""Lifetime of a part, here and in Redis. A router writes at least every `load_exchange.BEAT_S`; a killed one is
forgotten after this and one more beat at most."""


class Elsewhere(NamedTuple):
    """What all other routers have on one worker."""

    in_flight: int
    queued_tokens: int
    """Tokens of prefill still to be computed, as estimated for now."""
    held_tokens: int


NOTHING = Elsewhere(0, 0, 0)


class _Column(NamedTuple):
    """The column of one part that says how many requests are in flight, in the order of its workers."""

    part: Part
    workers: bytes
    """Bytes that stand for these workers."""
    numbers: list[int]
    counts: list[int]


class Others:
    """All other routers' parts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._parts: dict[str, Part] = {}
        self._settled: dict[str, _Column] = {}
        self._totals: dict[int, int] = {}

    @property
    def routers(self) -> int:
        """How many other routers live."""
        return len(self._parts)

    def hear(self, router: str, raw: bytes) -> None:
        """Take in a router's new part. Raises BadPartError."""
        self._parts[router] = Part(raw, self._clock())

    def keep(self, routers: Iterable[str]) -> None:
        """Keep only these routers, and of them only those that published something new recently."""
        self._parts = {router: self._parts[router] for router in routers if router in self._parts}
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
        """Bring the totals up to date. Returns those that changed. A tenth of a millisecond for parts of 1,000 workers,
        however many of them changed: for now and then, not for every request."""
        before = self._settled
        if before.keys() == self._parts.keys() and all(before[key].part is part for key, part in self._parts.items()):
            return {}
        self._settled = {router: _column(part, before.get(router)) for router, part in self._parts.items()}
        totals = _sums(self._settled.values())
        known = self._totals
        self._totals = totals
        if totals.keys() == known.keys():
            return {number: total for number, total in totals.items() if known[number] != total}
        changed = {number: total for number, total in totals.items() if known.get(number, 0) != total}
        return changed | {number: 0 for number in known.keys() - totals.keys() if known[number]}


def _column(part: Part, before: _Column | None) -> _Column:
    if before is not None and before.part is part:
        return before
    workers = part.workers()
    known = before is not None and before.workers == workers
    return _Column(part, workers, before.numbers if before and known else part.numbers(), part.counts())


def _sums(columns: Iterable[_Column]) -> dict[int, int]:
    """By worker. Columns of the same workers, nearly always all of them, are added as wholes."""
    fleets: dict[bytes, _Column] = {}
    for column in columns:
        same = fleets.get(column.workers)
        counts = column.counts if same is None else list(map(add, same.counts, column.counts))
        fleets[column.workers] = column._replace(counts=counts)
    sums: dict[int, int] = {}
    for fleet in fleets.values():
        if not sums:
            sums = dict(zip(fleet.numbers, fleet.counts, strict=True))
            continue
        for number, count in zip(fleet.numbers, fleet.counts, strict=True):
            sums[number] = sums.get(number, 0) + count
    return sums
