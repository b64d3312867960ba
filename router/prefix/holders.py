"""What this router knows of the holders in Redis: their numbers, removals under way, capacities, and Redis' time.

A holder's number changes when it was forgotten, by whomever; so a new number tells this router that another one saw a
worker lose its cache. The epoch changes when Redis lost everything, which says nothing about the workers. What must not
be broken: of many routers that notice one loss only one forgets, and a removed holder is not believed again.
"""

from collections.abc import Callable
from typing import NamedTuple

from router.prefix.answers import Outcome

SETTLED_S = 15.0
"""A holder that was forgotten so short a time ago is not forgotten again: it is the same loss, noticed later here."""
LATE_S = 60.0
"""No answer that was on its way when Redis was told of a removal comes later than this."""
MAX_KNOWN = 20_000
"""Holders whose numbers are remembered: every restart of an engine makes a new one."""


class _Known(NamedTuple):
    number: int
    since: float
    renewed: bool
    """It had another number before."""


class _Removal(NamedTuple):
    number: int | None
    """None: whatever it is."""
    told_at: float | None = None
    """When Redis was told; from then on it names the holder in late answers alone."""


class Holders:
    """Numbers and capacities, by holder name."""

    def __init__(self, clock: Callable[[], float], default_capacity_blocks: int) -> None:
        self.on_forgotten: list[Callable[[str], None]] = []
        """Called with a holder that another router has forgotten."""
        self.on_lost: list[Callable[[], None]] = []
        """Called when Redis has lost, or never had, what this router knows."""
        self._clock = clock
        self._default_capacity = default_capacity_blocks
        self._numbers: dict[str, _Known] = {}
        self._removals: dict[str, _Removal] = {}
        self._capacities: dict[str, int] = {}
        self._unwritten: dict[str, None] = {}
        self._epoch: object = ()
        """() before the first answer, None while Redis is empty."""
        self._time_offset: float | None = None

    def server_time(self) -> int | None:
        """Redis' time in seconds, None before it was asked: the routers' own clocks may differ."""
        return None if self._time_offset is None else int(self._clock() + self._time_offset)

    def set_server_time(self, seconds: float) -> None:
        """What Redis says that it is now."""
        self._time_offset = seconds - self._clock()

    def seen(self, holder: str, number: int) -> bool:
        """Redis named this holder. False when it is not to be believed: its removal is under way."""
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
            self._numbers[holder] = _Known(number, self._clock(), known is not None)
            if len(self._numbers) > MAX_KNOWN:
                del self._numbers[next(iter(self._numbers))]
            if known is not None:
                for callback in self.on_forgotten:
                    callback(holder)
        return True

    def epoch(self, epoch: bytes | None) -> None:
        """Redis' epoch, from any answer."""
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
        """What a writing script answered."""
        self.epoch(outcome.epoch)
        self.seen(holder, outcome.number)

    def remove(self, holder: str) -> None:
        """It lost what it had, or is gone: it is not believed until it has a higher number."""
        self._capacities.pop(holder, None)
        self._unwritten.pop(holder, None)
        known = self._numbers.get(holder)
        if known is None:
            self._removals[holder] = _Removal(None)
        elif not known.renewed or self._clock() - known.since > SETTLED_S:
            self._removals[holder] = _Removal(known.number)

    def removals(self) -> list[tuple[str, int | None]]:
        """What Redis is still to be told."""
        return [(holder, removal.number) for holder, removal in self._removals.items() if removal.told_at is None]

    def removed(self, holder: str) -> None:
        """Redis was told: answers from now on are true."""
        now = self._clock()
        removal = self._removals.pop(holder, None)
        if removal is not None and removal.number is not None:
            self._removals[holder] = removal._replace(told_at=now)
            self._numbers.pop(holder, None)
        settled = [
            name for name, each in self._removals.items() if each.told_at is not None and each.told_at < now - LATE_S
        ]
        for name in settled:
            del self._removals[name]

    def capacity(self, holder: str) -> int:
        """KV pool size in blocks."""
        return self._capacities.get(holder, self._default_capacity)

    def set_capacity(self, holder: str, blocks: int) -> bool:
        """True when this is news, to be written."""
        blocks = max(0, blocks)
        if self._capacities.get(holder) == blocks:
            return False
        self._capacities[holder] = blocks
        self._unwritten[holder] = None
        return True

    def unwritten(self) -> dict[str, int]:
        """Capacities to be written."""
        return {holder: self._capacities[holder] for holder in self._unwritten if holder in self._capacities}

    def capacity_written(self, holder: str) -> None:
        """Redis has it."""
        self._unwritten.pop(holder, None)
