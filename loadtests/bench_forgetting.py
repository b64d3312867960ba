"""Does the index forget what an engine forgets? Predicted against true hits of one worker under pressure.

Sessions of a trace run at the same time through one worker whose KV pool is an exact LRU of blocks, in order of use, a
prompt's tail older than its head, answers taking room. Before each request both indexes are asked how much of its
prompt is still held. The error is the sum of |predicted - true| over all requests, as a share of prompt tokens. Prints
Markdown; needs a Redis or Valkey server (`--binary`).

    python -m loadtests.bench_forgetting claude_code_kvtraces.jsonl.zst
"""

import argparse
import random
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import uvloop

from loadtests.bench_redis.router import bench_router
from loadtests.bench_redis.server import started
from loadtests.traces import files
from loadtests.traces.script import BLOCK_TOKENS, Script, chains
from router.prefix.api import HASH_BYTES, Record, State

WORKER = "w-0000000001.00000001"


class Request(NamedTuple):
    """One turn of one session."""

    chain: bytes
    generated_blocks: int

    @property
    def blocks(self) -> int:
        return len(self.chain) // HASH_BYTES


class TruePool:
    """The KV pool, block for block."""

    def __init__(self, capacity_blocks: int) -> None:
        self._capacity = capacity_blocks
        self._blocks: OrderedDict[bytes, None] = OrderedDict()
        self._answers = 0

    def serve(self, request: Request) -> int:
        """Run a request; answers how many of its blocks were cached."""
        chain = request.chain
        blocks = [chain[at : at + HASH_BYTES] for at in range(0, len(chain), HASH_BYTES)]
        hits = next((number for number, block in enumerate(blocks) if block not in self._blocks), len(blocks))
        for _ in range(request.generated_blocks):
            self._answers += 1
            self._touch(b"answer %d" % self._answers)
        for block in reversed(blocks):
            self._touch(block)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)
        return hits

    def _touch(self, block: bytes) -> None:
        self._blocks[block] = None
        self._blocks.move_to_end(block)


class Error(NamedTuple):
    """How wrong one index was, as shares of all prompt tokens."""

    absolute: float
    over: float
    under: float


def interleaved(scripts: list[Script], at_once: int, rng: random.Random) -> Iterator[Request]:
    """`at_once` sessions, each step a turn of one of them at random; who has ended makes room for the next."""
    waiting = iter(scripts)
    running = [turns_of(script) for script in islice(waiting, at_once)]
    while running:
        place = rng.randrange(len(running))
        request = next(running[place], None)
        if request is not None:
            yield request
        elif (script := next(waiting, None)) is not None:
            running[place] = turns_of(script)
        else:
            running.pop(place)


def turns_of(script: Script) -> Iterator[Request]:
    """A session's requests."""
    for turn, chain in zip(script.turns, chains(script), strict=True):
        yield Request(chain.astype(">u8").tobytes(), turn.answer_tokens // BLOCK_TOKENS)


def working_set(requests: list[Request], at_once: int) -> int:
    """Blocks that the sessions of one moment have, on average: each session's last prompt, `at_once` of them."""
    longest: dict[bytes, int] = {}
    for request in requests:
        head = request.chain[: 300 * HASH_BYTES]
        longest[head] = max(longest.get(head, 0), request.blocks)
    return at_once * sum(longest.values()) // max(1, len(longest))


async def errors(url: str, requests: list[Request], capacity_blocks: int) -> tuple[float, Error, Error]:
    """The true hit rate, and the errors of the tree and of Redis."""
    async with bench_router(url) as router:
        index = router.shared
        index.remove_worker(WORKER)
        await index.flush()
        index.set_capacity(WORKER, capacity_blocks)
        pool = TruePool(capacity_blocks)
        hits = 0
        wrong: list[tuple[int, int]] = []
        for request in requests:
            tree = index.local.find(request.chain, (WORKER,)).get(WORKER)
            shared = (await index.match(request.chain, (WORKER,))).get(WORKER)
            true = pool.serve(request)
            hits += true
            wrong.append(((tree.blocks if tree else 0) - true, (shared.blocks if shared else 0) - true))
            index.record(Record(WORKER, request.chain, State.CONFIRMED, request.generated_blocks))
            await index.flush()
    total = sum(request.blocks for request in requests)
    return hits / total, _error([tree for tree, _ in wrong], total), _error([shared for _, shared in wrong], total)


def _error(wrong: list[int], total: int) -> Error:
    over, under = sum(each for each in wrong if each > 0), -sum(each for each in wrong if each < 0)
    return Error((over + under) / total, over / total, under / total)


async def run(options: argparse.Namespace) -> None:
    """All traces and ratios."""
    print("| trace | requests | working set / capacity | true hit rate | tree: error (over, under) | Redis: error |")
    print("|---|---|---|---|---|---|")
    for path in options.traces:
        rng = random.Random(options.seed)
        scripts = files.read(path, limit=options.sessions)
        rng.shuffle(scripts)
        requests = list(interleaved(scripts, options.at_once, rng))[: options.requests]
        blocks = working_set(requests, options.at_once)
        for ratio in options.ratios:
            with started(options.binary) as server:
                true, tree, shared = await errors(server.url, requests, round(blocks / ratio))
            name = path.name.partition(".")[0]
            shown = [f"{e.absolute:.2%} ({e.over:.2%}, {e.under:.2%})" for e in (tree, shared)]
            print(f"| {name} | {len(requests)} | {ratio:g} | {true:.1%} | {shown[0]} | {shown[1]} |", flush=True)


def main(words: list[str] | None = None) -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "traces", type=Path, nargs="+", help="recorded traffic, of any format that the laboratory reads"
    )
    parser.add_argument("--ratios", type=float, nargs="+", default=[1, 2, 4, 6], help="working set / capacity")
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=16, help="sessions that run at the same time")
    parser.add_argument("--requests", type=int, default=1500, help="at most so many of each trace")
    parser.add_argument("--binary", default="redis-server", help="the server to start")
    parser.add_argument("--seed", type=int, default=1)
    uvloop.run(run(parser.parse_args(words)))


if __name__ == "__main__":
    main()
