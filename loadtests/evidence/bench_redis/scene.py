"""What Redis holds: conversations of one worker each behind a system prompt that all have, and the asked chains."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from router.prefix.index import HASH_BYTES
from router.prefix.verbs import Growth, Verbs, slices
from router.shared.failure import Failure
from router.shared.link import Link

PROMPT_TOKENS = 100_000
SYSTEM_SHARE = 0.15
"""Share of each prompt that all workers have."""
ASKED = 32
"""Chains that are asked for, in turn."""
UNDER_WAY = 32


class Case(NamedTuple):
    """One row of the table."""

    block_tokens: int
    depths: int
    """Different places where the holders of an asked chain end, besides the system prompt's end."""

    @property
    def blocks(self) -> int:
        return PROMPT_TOKENS // self.block_tokens


class Holding(NamedTuple):
    """One worker has this chain."""

    worker: str
    chain: bytes


@dataclass(frozen=True, slots=True)
class Scene:
    """All chains, the same for the same seed in every process."""

    case: Case
    workers: int
    blocks: int
    seed: int

    def system(self) -> bytes:
        """The chain that every worker has."""
        return random.Random(self.seed).randbytes(int(self.case.blocks * SYSTEM_SHARE) * HASH_BYTES)

    def asked(self) -> list[bytes]:
        """The chains that are asked for."""
        rng = random.Random(self.seed + 1)
        system = self.system()
        return [system + rng.randbytes(self.case.blocks * HASH_BYTES - len(system)) for _ in range(ASKED)]

    def holders(self) -> Iterator[Holding]:
        """Which workers hold what of the asked chains: two of them end at each depth."""
        rng = random.Random(self.seed + 2)
        first = len(self.system()) // HASH_BYTES
        for chain in self.asked():
            workers = rng.sample(range(self.workers), 2 * self.case.depths)
            for place in range(self.case.depths):
                depth = first + (self.case.blocks - first) * (place + 1) // self.case.depths
                for worker in workers[2 * place : 2 * place + 2]:
                    yield Holding(name(worker), chain[: depth * HASH_BYTES])

    def background(self) -> Iterator[Holding]:
        """Other conversations, until there are `blocks` in all."""
        rng = random.Random(self.seed + 3)
        system, left = self.system(), self.blocks
        for worker in range(self.workers):
            yield Holding(name(worker), system)
        while left > 0:
            own = self.case.blocks - len(system) // HASH_BYTES
            yield Holding(name(rng.randrange(self.workers)), system + rng.randbytes(own * HASH_BYTES))
            left -= own


def name(worker: int) -> str:
    """A holder as the router names them."""
    return f"w-{worker:010x}.{worker:08x}"


async def fill(link: Link, verbs: Verbs, holdings: Iterator[Holding]) -> int:
    """Write them, as the router does but with more under way; answers how many scripts it took."""
    growth = Growth(True, 1_000_000)
    under_way: list[asyncio.Future[object]] = []
    scripts = 0
    for holding in holdings:
        for part in slices(holding.chain):
            under_way.append(link.tell(verbs.touch(holding.worker, part, 0, 0, growth)))  # type: ignore[arg-type]
            scripts += 1
            if len(under_way) == UNDER_WAY:
                await _all(under_way)
    await _all(under_way)
    return scripts


async def _all(under_way: "list[asyncio.Future[object]]") -> None:
    for each in under_way:
        answer = await each
        assert not isinstance(answer, Failure), answer
    under_way.clear()
