"""What this router knows about the holders in Redis: their numbers, removals under way, capacities, and Redis' time.

A holder's number changes when any router has it forgotten; so a new number tells this router that another router saw a
worker lose its cache. The epoch changes when Redis lost everything, which says nothing about the workers. What must not
be broken: when many routers notice one loss, only one of them has the holder forgotten; and a removed holder is not
believed again.
"""

from collections.abc import Callable
from typing import NamedTuple

from router.prefix.answers import Outcome

SETTLED_S = 15.0
"""A holder is not forgotten twice within this many seconds: the second notice is of the same loss, seen later here."""
LATE_S = 60.0
"""An answer that left Redis before a removal was written arrives within this many seconds."""
MAX_KNOWN = 20_000
"""Number of holders that are remembered: every restart of an engine makes a new holder."""


class _KnownHolder(NamedTuple):
    number: int
    since: float
    renewed: bool
    """True when it had another number before."""


class _Removal(NamedTuple):
    number: int | None
    """The number that is removed; None for any number."""
    written_at: float | None = None
    """When the removal was written; from then on only late answers name the holder."""


class Holders:
    """Numbers and capacities, by holder name."""

    def __init__(self, clock: Callable[[], float], default_capacity_blocks: int) -> None:
        self.on_forgotten: list[Callable[[str], None]] = []
        """Called with a holder that another router has forgotten."""
        self.on_lost: list[Callable[[], None]] = []
        """Called when Redis has lost, or never had, what this router knows."""
        self._clock = clock
        self._default_capacity = default_capacity_blocks
        self._numbers: dict[str, _KnownHolder] = {}
        self._removals: dict[str, _Removal] = {}
        self._capacities: dict[str, int] = {}
        self._unwritten: dict[str, None] = {}
        self._epoch: object = ()
        """() before the first answer, None while Redis is empty."""
        self._time_offset: float | None = None

    def server_time(self) -> int | None:
        """Redis' time in seconds; None before it was asked. Redis' clock is used because the routers' clocks may
        differ."""
        return None if self._time_offset is None else int(self._clock() + self._time_offset)

    def set_server_time(self, seconds: float) -> None:
        """Take over the time that Redis answered."""
        self._time_offset = seconds - self._clock()

    def seen(self, holder: str, number: int) -> bool:
        """Note that Redis named this holder. Returns False while its removal is under way: then the answer is not
        believed."""
        known = self._numbers.get(holder)
        if known is not None and known.number == number and not self._removals:
            return True
        removal = self._removals.get(holder)
        if removal is not None:
            if removal.number is None or number <= removal.number:
                return False
            del self._removals[holder]
            known = None
        if known is None or number != known.number:
            self._numbers[holder] = _KnownHolder(number, self._clock(), known is not None)
            if len(self._numbers) > MAX_KNOWN:
                del self._numbers[next(iter(self._numbers))]
            if known is not None:
                for callback in self.on_forgotten:
                    callback(holder)
        return True

    def epoch(self, epoch: bytes | None) -> None:
        """Note Redis' epoch, which every answer carries."""
        before = self._epoch
        if epoch == before:
            return
        self._epoch = epoch
        self._numbers.clear()
        self._unwritten.update(dict.fromkeys(self._capacities))
        if before is not None:
            for callback in self.on_lost:
                callback()

    def written(self, holder: str, outcome: Outcome) -> None:
        """Note what a script that writes answered."""
        self.epoch(outcome.epoch)
        self.seen(holder, outcome.number)

    def remove(self, holder: str) -> None:
        """The holder lost its blocks, or is gone: answers that name it are not believed until it has a higher
        number."""
        self._capacities.pop(holder, None)
        self._unwritten.pop(holder, None)
        known = self._numbers.get(holder)
        if known is None:
            self._removals[holder] = _Removal(None)
        elif not known.renewed or self._clock() - known.since > SETTLED_S:
            self._removals[holder] = _Removal(known.number)

    def removals(self) -> list[tuple[str, int | None]]:
        """The removals that must still be written to Redis."""
        return [(holder, removal.number) for holder, removal in self._removals.items() if removal.written_at is None]

    def removed(self, holder: str) -> None:
        """The removal was written to Redis: answers that it gives from now on are true."""
        now = self._clock()
        removal = self._removals.pop(holder, None)
        if removal is not None and removal.number is not None:
            self._removals[holder] = removal._replace(written_at=now)
            self._numbers.pop(holder, None)
        settled = [
            name
            for name, each in self._removals.items()
            if each.written_at is not None and each.written_at < now - LATE_S
        ]
        for name in settled:
            del self._removals[name]

    def capacity(self, holder: str) -> int:
        """KV pool size in blocks."""
        return self._capacities.get(holder, self._default_capacity)

    def set_capacity(self, holder: str, blocks: int) -> bool:
        """Returns True when the capacity is new and must be written."""
        blocks = max(0, blocks)
        if self._capacities.get(holder) == blocks:
            return False
        self._capacities[holder] = blocks
        self._unwritten[holder] = None
        return True

    def unwritten(self) -> dict[str, int]:
        """The capacities that must still be written."""
        return {holder: self._capacities[holder] for holder in self._unwritten if holder in self._capacities}

    def capacity_written(self, holder: str) -> None:
        """Redis has this holder's capacity."""
        self._unwritten.pop(holder, None)
