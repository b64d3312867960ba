"""A second tier of KV memory behind the GPU's: one engine's host memory, or a pool that all engines share.

Blocks are written through when they are computed, and read back when a prompt's beginning is no longer (or never was)
in the GPU's pool. Reading is synchronous, as with LMCache's default: the step waits for it. Writing costs nothing here.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol


class SecondTier(Protocol):
    """The contract of a second tier: this process's own memory, or a pool of several processes (`shared_tier`)."""

    def __len__(self) -> int:
        """Blocks kept."""
        ...

    def match(self, chain: Sequence[int], start: int, limit: int) -> int:
        """Blocks of `chain` that are kept without a gap from `start` on, up to `limit`. Touches nothing."""
        ...

    def read(self, hashes: Sequence[int]) -> float:
        """Touch these blocks, which are kept. Returns how many seconds reading them takes."""
        ...

    def write(self, hashes: Sequence[int]) -> None:
        """Keep these blocks."""
        ...


class Tier:
    """`blocks` blocks, least recently used out first. Not thread-safe, reads no clock."""

    def __init__(self, blocks: int, block_tokens: int, tokens_per_s: float, start_s: float = 0.0) -> None:
        self._blocks = blocks
        self._block_tokens = block_tokens
        self._tokens_per_s = tokens_per_s
        self._start_s = start_s
        self._kept: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        """Blocks kept."""
        return len(self._kept)

    def match(self, chain: Sequence[int], start: int, limit: int) -> int:
        """Blocks of `chain` that are kept without a gap from `start` on, up to `limit`. Touches nothing."""
        kept, index = self._kept, start
        while index < limit and chain[index] in kept:
            index += 1
        return index - start

    def read(self, hashes: Sequence[int]) -> float:
        """Touch these blocks, which are kept. Returns how many seconds reading them takes."""
        for block_hash in reversed(hashes):  # the tail is to be older than the head
            self._kept.move_to_end(block_hash)
        return self._start_s + len(hashes) * self._block_tokens / self._tokens_per_s

    def write(self, hashes: Sequence[int]) -> None:
        """Keep these blocks."""
        kept = self._kept
        for block_hash in reversed(hashes):
            kept[block_hash] = None
            kept.move_to_end(block_hash)
        while len(kept) > self._blocks:
            kept.popitem(last=False)
