"""What reading the fleet's load costs: `python -m loadtests.bench_load`.

Five routers with a thousand workers each, all of them busy, on a real server: the round trip, and the CPU of its parts.
Run it while nothing else does.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable

import uvloop

from loadtests.cost.report import machine
from loadtests.redis_server import RedisProcess
from router.breaker import Breaker
from router.lease import Lease
from router.load.exchange import LoadExchange
from router.load.others import Others
from router.load.part import OwnPart
from router.shared.address import parse_address
from router.shared.counters import LinkCounters
from router.shared.keys import Keys
from router.shared.link import Link, LinkLimits
from router.workers import Worker

ROUTERS = 5
WORKERS = 1000
CANDIDATES = 24
ROUNDS = 400


def main() -> None:
    """Measure and print a table."""
    print(f"Machine: {machine()}.\n")
    print(f"{ROUTERS} routers, {WORKERS:,} workers, {CANDIDATES} candidates a request; medians of {ROUNDS}.\n")
    print("| step | median | p99 |\n|---|---|---|")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())


async def measure() -> None:
    """On a server of its own."""
    rng = random.Random(1)
    async with RedisProcess() as server:
        link = Link(parse_address(server.url), "bench", LinkLimits(ask_s=0.5), LinkCounters(), random.Random(2))
        async with link:
            await asyncio.sleep(0.2)
            await _measure(link, rng)


async def _measure(link: Link, rng: random.Random) -> None:
    keys = Keys("bench")
    loads = [LoadExchange(link, keys, f"router{number}", time.monotonic) for number in range(ROUTERS)]
    fleets = [_workers(load) for load in loads]
    for workers in fleets:
        for worker in workers:
            Lease(worker, rng.randrange(100_000), rng.randrange(5000)).__enter__()
    tasks = [asyncio.create_task(load.run()) for load in loads]
    await asyncio.sleep(2.5)
    load, workers = loads[0], fleets[0]
    assert load.routers == ROUTERS
    _report("read the others' parts: round trip", [await _read(load) for _ in range(ROUNDS)])
    parts = {name: part.raw for name, part in load.others._parts.items()}
    _report("... of it, decoding", [_time(lambda: Others(time.monotonic).read(parts)) for _ in range(ROUNDS)])
    chosen = [rng.sample(workers, CANDIDATES) for _ in range(ROUNDS)]
    _report("look up the candidates", [_time(lambda few=few: _look_up(few)) for few in chosen])  # type: ignore[misc]
    own = OwnPart()
    own.list_workers(range(WORKERS))
    _report("pack one's own part", [_time(own.pack) for _ in range(ROUNDS)])
    before, after = _parts(rng), _parts(rng)
    _report("bring the order up to date, all workers changed", [_settle(before, after) for _ in range(ROUNDS // 4)])
    for task in tasks:
        task.cancel()


def _workers(load: LoadExchange) -> list[Worker]:
    workers = []
    for number in range(WORKERS):
        worker = Worker(f"http://w{number}:8000", Breaker(time.monotonic, 3, 5.0), 8000.0, time.monotonic)
        load.attach(worker)
        workers.append(worker)
    load.list_workers(workers)
    return workers


async def _read(load: LoadExchange) -> float:
    await asyncio.sleep(0.003)
    began = time.perf_counter()
    reading = load.refresh()
    if reading is not None:
        await asyncio.wait((reading,))
    return time.perf_counter() - began


def _look_up(workers: list[Worker]) -> None:
    now = time.monotonic()
    for worker in workers:
        assert worker.elsewhere is not None
        worker.elsewhere(now)


def _parts(rng: random.Random) -> dict[bytes, bytes | None]:
    own = OwnPart()
    own.list_workers(range(WORKERS))
    parts: dict[bytes, bytes | None] = {}
    for router in range(ROUTERS - 1):
        for number in range(WORKERS):
            own.put(number, rng.randrange(50), 0, 0)
        parts[b"%d" % router] = own.pack()
    return parts


def _settle(before: dict[bytes, bytes | None], after: dict[bytes, bytes | None]) -> float:
    others = Others(time.monotonic)
    others.read(before)
    others.settle()
    others.read(after)
    return _time(others.settle)


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _report(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    median, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"| {name} | {median * 1e6:,.0f} us | {p99 * 1e6:,.0f} us |", flush=True)


if __name__ == "__main__":
    main()
