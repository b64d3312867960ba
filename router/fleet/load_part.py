"""One router's load, packed: what is written to Redis and read by every other router on nearly every request.

Reading must stay cheap for a thousand workers and many routers: a part is three columns that are looked at in place,
sorted by worker, and only candidates are looked up. Layout, in this machine's byte order, which the version tells:
version and count of workers (u32 each); then columns: number and requests in flight (u64: number << 16 | count), queued
tokens (u32), held tokens (u32). It is the body of what `publishing` writes, which signs and dates it.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

VERSION = 2
HEADER = struct.Struct("=II")
ROW_BYTES = 16
MAX_WORKERS = 16_384
MAX_PART_BYTES = HEADER.size + MAX_WORKERS * ROW_BYTES
COUNT_BITS = 16
MAX_COUNT = (1 << COUNT_BITS) - 1
MAX_TOKENS = (1 << 32) - 1
_COUNT_COLUMN = 0 if sys.byteorder == "little" else 3
"""Which of the four u16 of a head is the count."""
_NUMBER_COLUMNS = tuple(place for place in range(4) if place != _COUNT_COLUMN)


class BadPartError(ValueError):
    """Bytes that are no part, or of another version."""


def number_of(worker_id: str) -> int:
    """The worker's number, the same on every router: its id's 40 bits."""
    return int(worker_id.removeprefix("w-"), 16)


class Part:
    """A part that was read, as it lies in memory. `read_at` is the time of that on this router's own clock."""

    __slots__ = ("heads", "held", "queued", "read_at")

    def __init__(self, raw: bytes, read_at: float) -> None:
        """Raises BadPartError."""
        version, count = HEADER.unpack_from(raw) if len(raw) >= HEADER.size else (0, 0)
        if version != VERSION or len(raw) != HEADER.size + count * ROW_BYTES:
            raise BadPartError
        columns = memoryview(raw)[HEADER.size :]
        self.heads = columns[: count * 8].cast("Q")
        self.queued = columns[count * 8 : count * 12].cast("I")
        self.held = columns[count * 12 :].cast("I")
        self.read_at = read_at

    def find(self, number: int) -> tuple[int, int, int] | None:
        """Requests in flight, queued tokens (when written) and held tokens of a worker; None when it is not listed."""
        heads = self.heads
        place = bisect_left(heads, number << COUNT_BITS)
        if place == len(heads) or (head := heads[place]) >> COUNT_BITS != number:
            return None
        return head & MAX_COUNT, self.queued[place], self.held[place]

    def numbers(self) -> list[int]:
        """The numbers of the workers that are listed."""
        return [head >> COUNT_BITS for head in self.heads.tolist()]

    def workers(self) -> bytes:
        """Bytes that stand for the listed workers: parts of one fleet have the same."""
        columns = self.heads.cast("B").cast("H")
        return b"".join([columns[place::4].tobytes() for place in _NUMBER_COLUMNS])

    def counts(self) -> list[int]:
        """Requests in flight of each listed worker, in their order."""
        return self.heads.cast("B").cast("H")[_COUNT_COLUMN::4].tolist()


class OwnPart:
    """The part that this router writes. Cells change one by one; packing is a copy."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._heads = array("Q")
        self._queued = array("I")
        self._held = array("I")

    def list_workers(self, numbers: Iterable[int]) -> None:
        """List these workers in place of the earlier ones. All counts are 0 until they are put again."""
        ordered = sorted(numbers)[:MAX_WORKERS]
        self._places = {number: place for place, number in enumerate(ordered)}
        self._heads = array("Q", [number << COUNT_BITS for number in ordered])
        self._queued = array("I", bytes(4 * len(ordered)))
        self._held = array("I", bytes(4 * len(ordered)))

    def put(self, number: int, in_flight: int, queued_tokens: int, held_tokens: int) -> None:
        """Set a worker's counts. Workers that are not listed are left out."""
        place = self._places.get(number)
        if place is not None:
            self._heads[place] = number << COUNT_BITS | min(in_flight, MAX_COUNT)
            self._queued[place] = min(queued_tokens, MAX_TOKENS)
            self._held[place] = min(held_tokens, MAX_TOKENS)

    def pack(self) -> bytes:
        """The part as it is written to Redis."""
        head = HEADER.pack(VERSION, len(self._heads))
        return b"".join((head, self._heads.tobytes(), self._queued.tobytes(), self._held.tobytes()))
