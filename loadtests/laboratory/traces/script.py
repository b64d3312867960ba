"""What a replay needs of recorded traffic: how long prompts and answers are, what prompts have in common, and when.

No text: chains of hashes stand for it. What must not be broken: equal beginnings have equal chains within a trace, and
a replayed copy of a script shares nothing with its original but the blocks that all its sessions share.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loadtests.engine.chains import ChainHasher, Ids, Words, root_of

BLOCK_TOKENS = 64
"""Of the chains here: the router's index block, and the finest that recorded traces know."""
MOST_BLOCKS = 2_000_000
"""Of a prompt. Danger: without a bound, a line of a hundred bytes fills the memory."""
_HASHER = ChainHasher(BLOCK_TOKENS)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Turn(NamedTuple):
    """One recorded request."""

    keep: int
    """Blocks of the previous turn's chain with which this prompt begins."""
    new: Words
    """The hashes of the blocks behind them."""
    prompt_tokens: int
    answer_tokens: int
    """At least 1."""
    think_s: float
    """From the end of the previous answer to this request; 0 for the first."""
    service_s: float
    """How long the recorded answer took: only to estimate how many sessions live at once."""
    calls_tool: bool = False
    """The answer calls one, as far as the trace says."""

    @property
    def blocks(self) -> int:
        """Length of the prompt's chain."""
        return self.keep + len(self.new)


@dataclass(frozen=True, slots=True)
class Script:
    """One session as it was recorded."""

    name: str
    turns: Sequence[Turn]
    shared_blocks: int = 0
    """The number of blocks at the start that other sessions may have too (system prompt, tools)."""
    starts_s: float | None = None
    """When it began, in seconds since the trace's start, if the trace says so."""

    @property
    def prompt_tokens(self) -> int:
        return sum(turn.prompt_tokens for turn in self.turns)

    def cycles_s(self) -> list[float]:
        """Seconds from each turn's request to the next one, as recorded; the last turn's is its answer's time."""
        thinks = [turn.think_s for turn in self.turns[1:]] + [0.0]
        return [turn.service_s + think for turn, think in zip(self.turns, thinks, strict=True)]


def linked(blocks: Words, root: int) -> Words:
    """The chain of blocks known by one number each."""
    return _HASHER.linked(blocks, root)


def chain_of_ids(ids: Ids, root: int) -> Words:
    """The chain of a prompt's token ids."""
    return np.array(_HASHER.chain(ids, root), dtype=np.uint64)


def numbers(ids: Sequence[int] | Words, namespace: str) -> Words:
    """One number per block id, different in every namespace."""
    return np.asarray(ids, dtype=np.uint64) * GOLDEN + np.uint64(root_of(namespace))


def delta(before: Words, chain: Words) -> tuple[int, Words]:
    """(keep, new) of a chain behind the one before it."""
    length = min(len(before), len(chain))
    differs = np.flatnonzero(before[:length] != chain[:length])
    keep = int(differs[0]) if len(differs) else length
    return keep, chain[keep:].copy()  # a slice would keep the whole chain in memory


def chains(script: Script) -> Iterator[Words]:
    """Every turn's whole chain, one after the other."""
    chain = np.empty(0, dtype=np.uint64)
    for turn in script.turns:
        chain = np.concatenate((chain[: turn.keep], turn.new))
        yield chain
