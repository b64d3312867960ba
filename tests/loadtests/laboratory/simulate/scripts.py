"""Made-up scripts for the laboratory's tests."""

import random

import numpy as np

from loadtests.laboratory.traces.script import Script, Turn, linked, numbers


def script(name: str, prompts: list[int], answer: int = 20, think_s: float = 1.0, shared: int = 0) -> Script:
    """A session whose prompts have these lengths in blocks (and half a block more), each going on from the last; the
    first `shared` blocks are those of every such script."""
    turns: list[Turn] = []
    before = 0
    for blocks in prompts:
        ids = np.arange(blocks, dtype=np.uint64)
        words = np.where(ids < shared, numbers(ids, "shared"), numbers(ids, name))
        chain = linked(words, 0)
        turns.append(Turn(before, chain[before:], blocks * 64 + 32, answer, think_s if turns else 0.0, 1.0))
        before = blocks
    return Script(name, turns, shared)


def growing(count: int, seed: int = 0, shared: int = 40) -> list[Script]:
    """Agent-like sessions: 5 to 12 turns, from about 100 blocks on."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        sizes = [rng.randint(60, 160)]
        for _ in range(rng.randint(4, 11)):
            sizes.append(sizes[-1] + rng.randint(5, 40))
        made.append(script(f"s{number}", sizes, rng.randint(5, 60), rng.uniform(0.1, 1), shared))
    return made
