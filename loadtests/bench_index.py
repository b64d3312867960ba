"""How long the prefix index in memory takes: one match, and one record of a conversation's next turn.

Each case is a chain that ends five nodes deep, in a tree where 8 or 1,000 workers hold its system prompt, the next
nodes are held by ever fewer, and the last by one. Prints one row a case; times in microseconds, on one core.

    python -m loadtests.bench_index --holders 8 1000 --chain-blocks 16 560 6250
"""

import argparse
import gc
import random
import time
from collections.abc import Callable

from loadtests.endurance.report import Table
from router.prefix.api import HASH_BYTES, Record, State
from router.prefix.residency import Limits, Residency

LEVELS = 5
FORKS = 3
ALSO = 8
NEW_BLOCKS = 10
BACKGROUND_BLOCKS = 60


class Scene:
    """One tree and one conversation in it."""

    def __init__(self, holders: int, chain_blocks: int, background: int, rng: random.Random) -> None:
        self.rng = rng
        self.residency = Residency(Limits(default_capacity_blocks=50_000), time.monotonic)
        self.workers = [f"worker-{number}" for number in range(holders)]
        self.owner = self.workers[holders // 2]
        self.chain = rng.randbytes(chain_blocks * HASH_BYTES)
        cut = chain_blocks // LEVELS
        for level in range(1, LEVELS):
            prefix = self.chain[: level * cut * HASH_BYTES]
            sharing = self.workers if level == 1 else rng.sample(self.workers, max(2, 32 >> level) % holders)
            for worker in [*sharing, self.owner]:
                for _ in range(FORKS if worker == self.owner else 1):
                    self.confirm(worker, prefix + rng.randbytes(3 * HASH_BYTES))
        self.confirm(self.owner, self.chain)
        for _ in range(background):
            start = self.chain[: cut * HASH_BYTES]
            self.confirm(rng.choice(self.workers), start + rng.randbytes(BACKGROUND_BLOCKS * HASH_BYTES))

    def confirm(self, worker: str, chain: bytes, pended: bytes = b"") -> None:
        """Record the chain as cached."""
        self.residency.apply(Record(worker, chain, State.CONFIRMED, pended=pended))

    def time_match(self, rounds: int) -> list[float]:
        """The chain and a new turn, with its worker's holdings and eight others asked for."""
        asked = self.chain + self.rng.randbytes(NEW_BLOCKS * HASH_BYTES)
        samples = [self.rng.choices(self.workers, k=ALSO) for _ in range(100)]
        return [_timed(self.residency.find, asked, samples[number % 100]) for number in range(rounds)]

    def time_turns(self, rounds: int, estimated: bool) -> tuple[list[float], list[float]]:
        """PENDING and CONFIRMED of one turn more; the tail that was pending is another one when it was `estimated`."""
        pend, confirm = [], []
        chain, most = self.chain, len(self.chain) + 64 * NEW_BLOCKS * HASH_BYTES
        for _ in range(rounds):
            base = self.chain if len(chain) > most else chain
            chain = base + self.rng.randbytes(NEW_BLOCKS * HASH_BYTES)
            pended = base + self.rng.randbytes(NEW_BLOCKS * HASH_BYTES) if estimated else chain
            first, second = Record(self.owner, pended, State.PENDING), Record(self.owner, chain, State.CONFIRMED)
            second = second._replace(pended=pended)
            pend.append(_timed(self.residency.apply, first))
            confirm.append(_timed(self.residency.apply, second))
        return pend, confirm


def _timed(work: Callable[..., object], *args: object) -> float:
    start = time.perf_counter_ns()
    work(*args)
    return (time.perf_counter_ns() - start) / 1000


def _cell(samples: list[float]) -> str:
    samples.sort()
    return f"{samples[len(samples) // 2]:.1f} / {samples[int(len(samples) * 0.99)]:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holders", type=int, nargs="+", default=[8, 1000], help="workers that hold the system prompt")
    parser.add_argument("--chain-blocks", type=int, nargs="+", default=[16, 560, 6250], help="length of the chain")
    parser.add_argument("--background", type=int, default=3000, help="other conversations in the tree")
    parser.add_argument("--rounds", type=int, default=5000, help="measurements of each kind")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    titles = ("match", "record a prefill", "confirm it", "confirm it, tail estimated before")
    rows: list[tuple[str, ...]] = []
    for holders in args.holders:
        for chain_blocks in args.chain_blocks:
            scene = Scene(holders, chain_blocks, args.background, random.Random(args.seed))
            gc.collect()
            depth = len(scene.residency.tree.walk(scene.chain)[0])
            match = scene.time_match(args.rounds)
            pend, confirm = scene.time_turns(args.rounds, estimated=False)
            _, estimated = scene.time_turns(args.rounds, estimated=True)
            cells = [_cell(samples) for samples in (match, pend, confirm, estimated)]
            rows.append((f"{holders:,}", f"{chain_blocks:,}", f"{depth}", *cells))
    header = ("holders", "blocks in the chain", "nodes deep", *titles)
    print(Table("Microseconds, p50 / p99", header, rows).markdown())


if __name__ == "__main__":
    main()
