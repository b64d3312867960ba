"""The commands of the shared index to Redis: one Lua script per verb, and chains cut into slices.

A slice is short enough that its script takes well under 0.3 ms: the server answers nothing else meanwhile. The scripts
say how things are stored; `router/shared/keys.py` lists the keys.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from router.prefix.index import HASH_BYTES
from router.shared.keys import Keys
from router.shared.script import Command, Script, command, read_script

SEGMENT_BLOCKS = 128
"""Blocks of one segment: as in `segments.lua`."""
SLICE_SEGMENTS = 4
SLICE_BYTES = SLICE_SEGMENTS * SEGMENT_BLOCKS * HASH_BYTES
MAX_GENERATED = 65_535


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """Bounds of the shared index."""

    default_capacity_blocks: int = 8_192
    """KV pool assumed for a holder whose size is not known."""
    pending_ttl_s: float = 600.0
    """A PENDING of a router that died attracts requests for at most this many seconds."""
    ttl_s: int = 6 * 3600
    """Blocks that are not touched for this many seconds are forgotten, a chain's tail before its head."""
    max_memory_bytes: int = 1 << 30
    """Memory of the whole server beyond which no new prefixes are stored; stored ones are still touched."""
    steps: int = 64
    """Steps in which the ages of a KV pool's blocks are counted: more steps are more exact and cost more."""


class Slice(NamedTuple):
    """A part of a chain that begins at a segment's first block."""

    first: int
    """Number of its first block."""
    blocks: bytes
    is_end: bool
    """True when it holds the chain's last block."""


def packed(chain: bytes) -> tuple[bytes, bytes]:
    """A chain or slice as scripts get it: each segment's head, and the first half of each block's hash."""
    return array("Q", chain)[::SEGMENT_BLOCKS].tobytes(), array("I", chain)[::2].tobytes()


def slices(chain: bytes, from_block: int = 0) -> Iterator[Slice]:
    """A chain from its end to the segment of block `from_block`, the tail first: a head must never be older than its
    tail."""
    lowest = from_block // SEGMENT_BLOCKS * SEGMENT_BLOCKS * HASH_BYTES
    starts = range(lowest, len(chain), SLICE_BYTES)
    for start in reversed(starts):
        stop = min(start + SLICE_BYTES, len(chain))
        yield Slice(start // HASH_BYTES, chain[start:stop], stop == len(chain))


def _read(verb: str, *before: str) -> Script:
    """Read a verb's script. A verb is a function, so that `guard.lua` can repair the keys that it failed on and call it
    again."""
    parts = ("begin", *before, verb, "guard")
    *shared, last = ("lua/segments", *(f"lua/{each}" for each in parts))
    return read_script("router.prefix", last, *shared)


class Verbs:
    """Makes the commands of one deployment."""

    def __init__(self, keys: Keys, limits: SharedLimits) -> None:
        self._root = keys.tag
        self.names = keys.names
        self.limits = limits
        self._match = _read("match")
        self._touch = _read("touch", "holder", "grow")
        self._pend = _read("pend", "holder", "grow")
        self._drop = _read("drop")
        self._correct = _read("correct", "holder")
        self._forget = _read("forget")
        self._capacity = _read("capacity", "holder")

    def match(self, chain: bytes, now_s: int, also: Sequence[str]) -> Command:
        """Answers as `Match`."""
        return self._match(self._root, *packed(chain), now_s, *also)

    def epoch(self) -> Command:
        """Answers the epoch; nothing when there is no data."""
        return command("HGET", self.names, "#epoch")

    def touch(self, holder: str, part: Slice, generated: int, pending: int, grow: "Growth") -> Command:
        """Record that the holder has this part of a chain. Answers as `Outcome`."""
        generated = min(generated, MAX_GENERATED) if part.is_end else 0
        is_end = int(part.is_end)
        chain = *packed(part.blocks), part.first, is_end
        return self._touch(self._root, holder, *chain, generated, pending, *self._growth(grow))

    def pend(self, holder: str, part: Slice, pending: int, expires_s: int, grow: "Growth") -> Command:
        """Record that the holder prefills this part of a chain. Answers as `Outcome`."""
        chain = *packed(part.blocks), part.first
        return self._pend(self._root, holder, *chain, pending, expires_s, *self._growth(grow))

    def drop(self, holder: str, part: Slice, pending: int) -> Command:
        """Take one pending record back. Answers 1 if it existed."""
        return self._drop(self._root, holder, *packed(part.blocks), pending)

    def correct(self, holder: str, part: Slice, kept_blocks: int) -> Command:
        """Record that only the first `kept_blocks` of the chain are held."""
        kept = max(0, kept_blocks - part.first)
        return self._correct(self._root, holder, *packed(part.blocks), part.first, kept, self.limits.ttl_s)

    def forget(self, holder: str, number: int | None) -> Command:
        """Forget the holder; with `number`, only while it still has this number. Answers 1 if it was forgotten."""
        return self._forget(self._root, holder, "" if number is None else number)

    def set_capacity(self, holder: str, blocks: int) -> Command:
        """Set the KV pool's size; -1 continues an unfinished eviction. Answers as `Outcome`."""
        return self._capacity(self._root, holder, blocks, self.limits.ttl_s, self.limits.steps)

    def _growth(self, grow: "Growth") -> tuple[int, int, int, int]:
        return int(grow.allowed), self.limits.ttl_s, grow.capacity_blocks, self.limits.steps


class Growth(NamedTuple):
    """What a record may add."""

    allowed: bool
    """True when there is memory for new blocks."""
    capacity_blocks: int
    """The holder's KV pool size, in case Redis does not know it."""
