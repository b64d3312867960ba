"""The prefix index's contract: which worker probably holds which blocks.

Nouns: a *chain* is a prompt's block hashes, 8 bytes each, joined into one `bytes`; hash i covers blocks 0..i (each is
keyed with its parent), so equal hashes mean equal prefixes. A *holder* is one incarnation of a worker (its id and its
engine's generation). The index is a hint: it may be stale, slow or gone; the request still goes out.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

HASH_BYTES = 8


class Held(NamedTuple):
    """What one holder has of one chain. Counts are contiguous blocks from block 0."""

    blocks: int
    """Blocks whose prefill is done and that are believed not to be evicted."""
    pending_blocks: int
    """Blocks that are held or are being prefilled by a request dispatched there; never less than `blocks`."""


class State(Enum):
    """The step in a chain's life that a record reports."""

    PENDING = "pending"
    """The request was dispatched and its prefill is not done. Counted: each PENDING needs one CONFIRMED or DROPPED, or
    expires."""
    CONFIRMED = "confirmed"
    """The first byte came: the blocks are in the KV pool. Touches the whole chain (LRU)."""
    DROPPED = "dropped"
    """The request failed before its first byte. Takes back one PENDING of exactly this chain."""
    CORRECTED = "corrected"
    """The engine reported fewer cached tokens than predicted: nothing of `tail` beyond `len(chain)` is held."""


class Record(NamedTuple):
    """One fact about one holder, written off the hot path."""

    holder: str
    chain: bytes
    state: State
    generated_blocks: int = 0
    """Blocks of output that the engine cached after this chain: they take room, and are never credited."""
    tail: bytes = b""
    """CORRECTED only: the full chain that had been predicted; `chain` is the part of it that was really cached."""
    pended: bytes = b""
    """CONFIRMED only: the chain that had been PENDING for this request (it may have been estimated), b"" for none."""


class PrefixIndex(Protocol):
    """Both indexes, in memory and shared, keep this contract; one contract suite runs over each."""

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> Mapping[str, Held]:
        """How much of `chain` each holder has: the deepest holders (at most 16; a sample if there are more), and those
        of `also` that hold anything. Holders of nothing are left out. At most one round trip. Never raises: when the
        index is slow or gone the answer is empty. Changes nothing."""
        ...

    def record(self, record: Record) -> None:
        """Record one fact. Never blocks, never raises; may refuse it when full (counted). PENDING is visible to the
        next match at once; the other states soon after."""
        ...

    def set_capacity(self, holder: str, blocks: int) -> None:
        """The holder's KV pool size in blocks of this index: older blocks beyond it are forgotten in LRU order."""
        ...

    def remove_worker(self, holder: str) -> None:
        """Forget all that the holder has, at once for `match`. Unknown holders are fine."""
        ...
