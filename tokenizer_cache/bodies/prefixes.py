"""Bodies recognised by their first bytes, before any of them is parsed.

A body's digest is taken at `FIRST_BYTES`, and at every step of `STEP_BYTES` (of `_LATE_STEP_BYTES` after 256 KB), each
from the one before, as long as an earlier body began with the same bytes. The last step that matches holds the lengths
at which items ended in those earlier bodies. An equal digest at one of these lengths proves equal bytes: it is keyed
and 128 bits wide. The table is bounded, and the least recently used entry goes first. One thread only.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from tokenizer_cache.bodies.items import Start
from tokenizer_cache.conversations.keyed import KeyedHash

FIRST_BYTES: Final = 8 << 10
"""Shorter bodies are not recognised: reading them costs a few microseconds, and a digest for each message."""
STEP_BYTES: Final = 16 << 10
_LATE_STEP_BYTES: Final = 64 << 10
"""Each digest costs 1 us besides its bytes; bodies that share 256 KB belong to one conversation, or to a few."""
_EARLY_STEPS: Final = 16
_EARLY_BYTES: Final = _EARLY_STEPS * STEP_BYTES
_LENGTHS = 8
"""Lengths remembered for one step: those of the latest bodies that began so."""
_TRIED = 12
"""Lengths tried for one body. Each costs a digest of less than a step."""
_MARK_BYTES: Final = 700
"""Size of a mark with its key, its place in the table and what is known there."""


class Known(msgspec.Struct, frozen=True):
    """What is known about bodies that begin with certain bytes, which end after an item."""

    length: int
    start: Start
    """The items that they hold."""
    head_bytes: int
    """Where the first item begins."""
    frame: bytes
    """Key of the frame that was around them."""


class _Mark:
    __slots__ = ("known", "lengths")

    def __init__(self) -> None:
        self.known: Known | None = None
        self.lengths: list[int] = []


class Scan:
    """The digests of one body at every step, as far as they were asked for."""

    __slots__ = ("_body", "_end", "_hash", "found", "steps")

    def __init__(self, body: bytes, keyed: KeyedHash) -> None:
        self._body = memoryview(body)
        self._hash = keyed
        self.steps: list[bytes] = []
        self._end = 0
        """Length of the steps so far."""
        self.found = 0
        """How many of them are known, and were used just now."""

    def __len__(self) -> int:
        return len(self._body)

    def step(self, number: int) -> bytes:
        """Digest of the first `number + 1` steps."""
        steps = self.steps
        while len(steps) <= number:
            before, start, self._end = steps[-1] if steps else b"", self._end, _bytes_of(len(steps) + 1)
            steps.append(self._hash.of(self._body[start : self._end], before))
        return steps[number]

    def at(self, length: int) -> bytes:
        """Digest of the first `length` bytes, one step at least."""
        steps = _steps_in(length)
        before, start = self.step(steps - 1), _bytes_of(steps)
        return self._hash.of(self._body[start:length], before) if start < length else before


def _bytes_of(steps: int) -> int:
    """Length in bytes of the first `steps` steps."""
    if steps <= 1:
        return steps * FIRST_BYTES
    steps -= 1
    return steps * STEP_BYTES if steps <= _EARLY_STEPS else _EARLY_BYTES + (steps - _EARLY_STEPS) * _LATE_STEP_BYTES


def _steps_in(length: int) -> int:
    """Number of whole steps in this many bytes."""
    if length < STEP_BYTES:
        return int(length >= FIRST_BYTES)
    if length <= _EARLY_BYTES:
        return 1 + length // STEP_BYTES
    return 1 + _EARLY_STEPS + (length - _EARLY_BYTES) // _LATE_STEP_BYTES


class Prefixes:
    """The known beginnings of one API's bodies."""

    def __init__(self, max_bytes: int, keyed: KeyedHash) -> None:
        self._max_marks = max(1, max_bytes // _MARK_BYTES)
        self._marks: OrderedDict[bytes, _Mark] = OrderedDict()
        self._hash = keyed

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def size_bytes(self) -> int:
        """About how much memory they take."""
        return len(self._marks) * _MARK_BYTES

    def find(self, body: bytes) -> tuple[Known | None, Scan]:
        """The longest known beginning that was found, and the scan for `add`."""
        scan, marks = Scan(body, self._hash), self._marks
        seen = []
        for number in range(_steps_in(len(body))):
            digest = scan.step(number)
            mark = marks.get(digest)
            if mark is None:
                break
            marks.move_to_end(digest)
            seen.append(mark)
        scan.found = len(seen)
        tried = 0
        for mark in reversed(seen):
            for length in reversed(mark.lengths):
                if length > len(body):
                    continue
                digest = scan.at(length)
                found = self._marks.get(digest)
                if found is not None and found.known is not None:
                    self._marks.move_to_end(digest)
                    return found.known, scan
                tried += 1
                if tried == _TRIED:
                    return None, scan
        return None, scan

    def add(self, scan: Scan, known: Known) -> None:
        """Remember the first `known.length` bytes of the scanned body."""
        steps = _steps_in(known.length)
        if not steps:
            return
        for number in range(max(0, min(scan.found, steps) - 1), steps):
            mark = self._mark(scan.step(number))
        if known.length in mark.lengths:
            mark.lengths.remove(known.length)
        mark.lengths.append(known.length)
        del mark.lengths[:-_LENGTHS]
        self._mark(scan.at(known.length)).known = known
        while len(self._marks) > self._max_marks:
            self._marks.popitem(last=False)

    def _mark(self, digest: bytes) -> _Mark:
        mark = self._marks.get(digest)
        if mark is None:
            mark = self._marks[digest] = _Mark()
        else:
            self._marks.move_to_end(digest)
        return mark
