"""Measure the shared index at scale, and print Markdown. Starts a server of its own; needs about 5 GB.

python -m loadtests.evidence.bench_redis --binary redis-server
"""

import argparse
import asyncio
import json
import sys
import time

import uvloop

from loadtests.evidence.bench_redis.plain import PlainIndex
from loadtests.evidence.bench_redis.router import BenchRouter, Took, bench_router, lookups, publish_load, records
from loadtests.evidence.bench_redis.scene import Case, Scene, fill
from loadtests.evidence.bench_redis.server import Server, started, version

TITLES = (
    ("block", "tokens"), ("depths", ""), ("match", "p50 / p99, ms"), ("with load", "p50 / p99, ms"),
    ("client CPU", "ms, with load"), ("server", "us a match"), ("bytes", "a block"),
    ("HKEYS a block", "p50 / p99, ms"), ("its CPU", "client ms"), ("its server", "us a match"),
)  # fmt: skip


def row(cells: list[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


async def measure(server: Server, scene: Scene, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """One case: its row, and its rows on writing and on routers in parallel."""
    server.client.flushall()
    empty = server.used_bytes()
    async with bench_router(server.url) as router:
        server.reset()
        began = time.perf_counter()
        scripts = await fill(router.link, router.verbs, scene.background())
        took = time.perf_counter() - began
        written = server.spent()
        stored = scene.blocks + len(scene.system()) // 8
        per_block = (server.used_bytes() - empty) / stored
        await fill(router.link, router.verbs, scene.holders())
        await publish_load(router.link, scene.workers)
        await lookups(router, scene, 200, False)
        server.reset()
        alone = await lookups(router, scene, options.rounds, False)
        matching = server.spent()
        loaded = await lookups(router, scene, options.rounds, True)
        parallel = [await together(server, scene, routers) for routers in options.routers]
        server.reset()
        per_second = await records(router, scene, options.rounds // 4)
        touching = server.spent()
    with PlainIndex(server.port) as beside:
        plain = measure_plain(beside, server, scene, options)
    cells = [
        str(scene.case.block_tokens), str(scene.case.depths), f"{alone.p50_ms:.3f} / {alone.p99_ms:.3f}",
        f"{loaded.p50_ms:.3f} / {loaded.p99_ms:.3f}", f"{loaded.cpu_ms:.3f}", f"{matching.mean_us:.0f}",
        f"{per_block:.0f}", f"{plain[0].p50_ms:.2f} / {plain[0].p99_ms:.2f}", f"{plain[0].cpu_ms:.2f}",
        f"{plain[1]:.0f}",
    ]  # fmt: skip
    rates = ", ".join(f"{n}: {took.per_second:.0f} ({took.p50_ms:.2f} / {took.p99_ms:.2f})" for n, took in parallel)
    writing = [
        str(scene.case.block_tokens), str(scene.case.depths), f"{per_second:.0f}",
        f"{touching.mean_us:.0f}, {written.mean_us:.0f}", f"{stored / took / 1e6:.2f} M",
        f"{touching.slow + written.slow} of {touching.calls + scripts}, {max(touching.worst_us, written.worst_us)}",
        f"{matching.slow}, {matching.worst_us}", rates,
    ]  # fmt: skip
    return cells, writing


async def together(server: Server, scene: Scene, routers: int) -> tuple[int, Took]:
    """Several routers at once, each a process: lookups a second of all, and the mean of their times."""
    words = (sys.executable, "-m", "loadtests.evidence.bench_redis", "--client", server.url, "--seed", str(scene.seed))
    case = ("--workers", str(scene.workers), "--blocks", str(scene.blocks), "--case", json.dumps(scene.case))
    processes = [
        await asyncio.create_subprocess_exec(*words, *case, stdout=asyncio.subprocess.PIPE) for _ in range(routers)
    ]
    outputs = [await process.communicate() for process in processes]
    took = [Took(*json.loads(output)) for output, _ in outputs]
    p50, p99, cpu = (sum(getattr(each, field) for each in took) / routers for field in ("p50_ms", "p99_ms", "cpu_ms"))
    return routers, Took(p50, p99, cpu, sum(each.per_second for each in took))


def measure_plain(plain: PlainIndex, server: Server, scene: Scene, options: argparse.Namespace) -> tuple[Took, float]:
    """The usual layout on the asked chains and a part of the others, and the server's time for one lookup."""
    plain.fill(scene.holders(), sys.maxsize)
    plain.fill(scene.background(), options.plain_blocks)
    asked = scene.asked()
    rounds = max(20, options.rounds // 50)
    server.reset()
    times = []
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(rounds):
        started_at = time.perf_counter()
        plain.match(asked[number % len(asked)])
        times.append((time.perf_counter() - started_at) * 1e3)
    cpu, took = time.process_time() - cpu, time.perf_counter() - began
    times.sort()
    spent = server.client.info("commandstats")["cmdstat_hkeys"]["usec"] / rounds
    return Took(times[rounds // 2], times[int(rounds * 0.99)], cpu / rounds * 1e3, rounds / took), spent


async def run_client(options: argparse.Namespace) -> None:
    """One of several routers: prints what its lookups took."""
    scene = Scene(Case(*json.loads(options.case)), options.workers, options.blocks, options.seed)
    router: BenchRouter
    async with bench_router(options.client) as router:
        await lookups(router, scene, 200, False)
        print(json.dumps(await lookups(router, scene, 3000, True)))


async def run(options: argparse.Namespace) -> None:
    """All cases, one after the other."""
    with started(options.binary) as server:
        print(f"{version(server)}, {options.workers} workers, {options.blocks / 1e6:g} million blocks.\n")
        first, second = [], []
        for block_tokens in options.block_tokens:
            for depths in options.depths:
                scene = Scene(Case(block_tokens, depths), options.workers, options.blocks, options.seed)
                cells, writing = await measure(server, scene, options)
                first.append(row(cells))
                second.append(row(writing))
                print(f"done: {cells[:4]}", file=sys.stderr)
        print(row([f"{title}{', ' + unit if unit else ''}" for title, unit in TITLES]))
        print("|---" * len(TITLES) + "|", *first, sep="\n")
        titles = ["block, tokens", "depths", "whole prompts recorded a second", "us a script: touching, filling"]
        titles += ["blocks filled a second", "writing scripts above 0.3 ms, worst us", "matches above 0.3 ms, worst us"]
        titles += ["routers: matches a second (p50 / p99, ms), with load"]
        print("\n" + row(titles), "|---" * len(titles) + "|", *second, sep="\n")


def main(words: list[str] | None = None) -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="redis-server", help="the server to start")
    parser.add_argument("--blocks", type=int, default=10_000_000)
    parser.add_argument("--plain-blocks", type=int, default=1_000_000, help="blocks in the layout beside it")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--block-tokens", type=int, nargs="+", default=[64, 16])
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 16, 64])
    parser.add_argument("--routers", type=int, nargs="+", default=[1, 2, 4], help="routers in parallel")
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--client", default="", help=argparse.SUPPRESS)
    parser.add_argument("--case", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    uvloop.run(run_client(options) if options.client else run(options))


if __name__ == "__main__":
    main()
