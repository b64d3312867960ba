"""One router's part of the index, as the router itself builds it, and what its lookups and records take."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import NamedTuple

from loadtests.evidence.bench_redis.scene import Scene, name
from router.fleet.load_exchange import MAX_PARTS_BYTES, MAX_STRING_BYTES, WRITE, LoadExchange
from router.fleet.load_part import OwnPart
from router.observe.instruments import Counter
from router.prefix.holders import Holders
from router.prefix.index import HASH_BYTES, Record, State
from router.prefix.residency import Limits
from router.prefix.shared import SharedIndex, SharedParts
from router.prefix.tree import TreeIndex
from router.prefix.verbs import SharedLimits, Verbs
from router.prefix.writer import SharedWriter
from router.shared.address import parse_address
from router.shared.counters import LinkCounters
from router.shared.keys import Keys
from router.shared.link import Link, LinkLimits
from router.shared.publishing import MAX_ROUTERS, Publisher
from router.shared.seal import Seal

KEYS = Keys("bench")
SEAL = Seal(b"secret", "bench", "load")
NOW_MS = 1_700_000_000_000
ALSO = 7
OTHER_ROUTERS = 5
LIMITS = SharedLimits(default_capacity_blocks=1_000_000, max_memory_bytes=1 << 40)


class Took(NamedTuple):
    """What lookups took."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float
    per_second: float


class BenchRouter(NamedTuple):
    """The parts."""

    link: Link
    verbs: Verbs
    shared: SharedIndex


def _fail(error: BaseException) -> None:
    raise error


@asynccontextmanager
async def bench_router(url: str) -> AsyncIterator[BenchRouter]:
    """A connected router."""
    link = Link(
        parse_address(url), KEYS.check, LinkLimits(ask_s=1.0, tell_s=60, stalled_s=60), LinkCounters(), random.Random(1)
    )
    verbs = Verbs(KEYS, LIMITS)
    holders = Holders(time.monotonic, LIMITS.default_capacity_blocks)
    local = TreeIndex(Limits(default_capacity_blocks=LIMITS.default_capacity_blocks), time.monotonic, _fail)
    writer = SharedWriter(link, verbs, holders, local, random.Random(2).randrange)
    parts = SharedParts(local, link, verbs, holders, writer, Counter("fallbacks", "", ("reason",)))
    index = SharedIndex(parts, time.monotonic, _fail)
    async with link, index:
        index.set_capacity("probe", 1)  # something to write, so that the connection is waited for
        async with asyncio.timeout(30):
            await index.batcher.flush()
        yield BenchRouter(link, verbs, index)
        assert not parts.fallbacks.values, parts.fallbacks.values


async def publish_load(link: Link, workers: int) -> None:
    """Five other routers' parts of the load, with something on every worker."""
    for router in range(OTHER_ROUTERS):
        part = OwnPart()
        part.list_workers(range(1, workers + 1))
        for worker in range(1, workers + 1):
            part.put(worker, router + 1, 1000, 100_000)
        other = f"other{router}"
        told = Publisher(SEAL, other).write(part.pack(), NOW_MS)
        bounds = MAX_ROUTERS, MAX_STRING_BYTES, MAX_PARTS_BYTES
        await link.tell(WRITE(KEYS.routers, other, 3_600_000, told, KEYS.loads, KEYS.uses, *bounds))


async def lookups(router: BenchRouter, scene: Scene, rounds: int, with_load: bool) -> Took:
    """One after the other: the chain's lookup, seven more workers asked for, perhaps with the others' load."""
    rng = random.Random(7)
    asked = scene.asked()
    also = [[name(rng.randrange(scene.workers)) for _ in range(ALSO)] for _ in range(64)]
    ticks = count(1000.0, 0.003)  # whatever was read is too old
    load = LoadExchange(router.link, KEYS, "reader", SEAL, lambda: next(ticks)) if with_load else None
    if load is not None:
        load._names = [f"other{router}" for router in range(OTHER_ROUTERS)]
        load._time_offset = NOW_MS / 1000 - 1000.0
    if load is not None and (reading := load.refresh()) is not None:
        await asyncio.wait((reading,))
        assert load.routers == 1 + OTHER_ROUTERS
    times = []
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(rounds):
        started = time.perf_counter()
        fresh = load.refresh() if load is not None else None
        found = await router.shared.match(asked[number % len(asked)], also[number % len(also)])
        if fresh is not None and not fresh.done():
            await asyncio.wait((fresh,))
        times.append(time.perf_counter() - started)
        assert max(held.blocks for held in found.values()) == scene.case.blocks
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    times.sort()
    return Took(times[rounds // 2] * 1e3, times[int(rounds * 0.99)] * 1e3, cpu / rounds * 1e3, rounds / took)


async def records(router: BenchRouter, scene: Scene, rounds: int) -> float:
    """Records a second: each touches a whole asked prompt, and adds ten blocks."""
    rng = random.Random(8)
    asked = scene.asked()
    began = time.perf_counter()
    for number in range(rounds):
        chain = asked[number % len(asked)] + rng.randbytes(10 * HASH_BYTES)
        router.shared.record(Record(name(rng.randrange(scene.workers)), chain, State.CONFIRMED))
    await router.shared.flush()
    return rounds / (time.perf_counter() - began)
