"""What it costs a router that engines publish many KV events: look-ups and CPU per request of one that listens, beside
one that does not, before equally busy publishers.

    python -m loadtests.evidence.bench_events --publishers 16 --blocks-per-s 50000 --seconds 60 --pairs 2

The routers take turns, each with publishers of its own, in front of the same stub workers at the same rate of requests.
CPU is that of the process that serves; the listening process is told beside it.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import aiohttp
import msgspec
import numpy as np
import uvloop
import zmq

from loadtests.engine.kv_events import GPU, AllBlocksCleared, Batch, BlockRemoved, BlockStored
from loadtests.evidence.cost.stub_worker import MODEL
from loadtests.evidence.rivals.sessions import text
from loadtests.harness.machine import machine
from loadtests.harness.processes import Process, samples, total
from loadtests.harness.usage import Stat, Usage
from loadtests.ports import ports
from router import cli
from router.prefix import timed

BLOCK_TOKENS, BATCH_BLOCKS = 16, 64
RING = 32
"""Batches of one publisher that differ: half of them are held at any time."""
WARM_S, IDLE_S = 8.0, 15.0
SESSIONS, TURNS = 24, 8
PROMPT_BYTES, MORE_BYTES = 16_000, 500
LOOKUPS = "BENCH_LOOKUPS"


class Cost(NamedTuple):
    """What one router took in one turn."""

    idle_ms: float
    """CPU of the serving process in a second without requests."""
    requests: int
    cpu_us: float
    """CPU of the serving process, per request."""
    listener_share: float
    """Share of a core that the listening process took."""
    lookup_p50_us: float
    lookup_p99_us: float
    answer_p99_ms: float
    blocks_per_s: float
    """Stored, as heard."""
    gaps: float


def _payloads(seed: int) -> list[bytes]:
    """One turn of a publisher's ring: each batch removes what an earlier one has stored, and stores."""
    rng = random.Random(seed)
    stored = []
    for _ in range(RING):
        hashes = [rng.getrandbits(64) for _ in range(BATCH_BLOCKS)]
        ids = [rng.randrange(100, 50_000) for _ in range(BATCH_BLOCKS * BLOCK_TOKENS)]
        stored.append(BlockStored(hashes, None, ids, BLOCK_TOKENS, None, GPU, None))
    return [
        msgspec.msgpack.encode(
            Batch(0.0, [BlockRemoved(list(reversed(stored[place - RING // 2].block_hashes)), GPU), stored[place]], 0)
        )
        for place in range(RING)
    ]


def publish(numbers: Sequence[int], blocks_per_s: float) -> None:
    """Until killed: one publisher on each port, together at this rate. At SIGUSR1 each says that it holds nothing, so
    that all is known of it from there on."""
    context: Any = zmq.Context()
    sockets, rings = [], [_payloads(number) for number in numbers]
    for number in numbers:
        socket = context.socket(zmq.PUB)
        socket.bind(f"tcp://127.0.0.1:{number}")
        sockets.append(socket)
    clear = msgspec.msgpack.encode(Batch(0.0, [AllBlocksCleared()], 0))
    interval_s, sequence, began = BATCH_BLOCKS * len(numbers) / blocks_per_s, 0, time.monotonic()
    clears: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: clears.append(number))
    print("ready", flush=True)
    while True:
        time.sleep(max(0.0, began + sequence * interval_s - time.monotonic()))
        for socket, ring in zip(sockets, rings, strict=True):
            socket.send_multipart((b"", sequence.to_bytes(8, "big"), clear if clears else ring[sequence % RING]))
        clears.clear()
        sequence += 1


class TimedRouter(Process):
    """A router that writes down how long each look-up took, once it is asked to end."""

    def __init__(self, port: int, workers: Sequence[int], flags: Sequence[str], lookups: Path) -> None:
        urls = [flag for worker in workers for flag in ("--worker", f"http://127.0.0.1:{worker}")]
        quiet = ("--no-access-log", "--log-level", "error", "--tokenizer", "off")
        super().__init__(port, ["loadtests.evidence.bench_events", "serve", *quiet, *urls, *flags])
        self.under = ("env", f"{LOOKUPS}={lookups}")
        self._workers = len(workers)

    async def page(self) -> Mapping[str, Mapping[str, float]]:
        """The router's metrics."""
        status, page = await self.call("GET", "/metrics")
        return samples(page) if status == 200 else {}

    async def ready(self) -> bool:
        return total(dict(await self.page()), "warmroute_worker_healthy") >= self._workers  # type: ignore[arg-type]

    def serving_ms(self) -> float:
        """CPU of the process that serves, without its children."""
        assert self._child is not None
        return Stat.parse(Path(f"/proc/{self._child.pid}/stat").read_text(), reaped=False)[2]

    def all_ms(self) -> float:
        """CPU of the process that serves and of its children."""
        assert self._child is not None
        return Usage(self._child.pid).cpu_ms()


async def _ask(http: aiohttp.ClientSession, url: str, body: bytes, took: list[float]) -> None:
    began = time.perf_counter()
    async with http.post(f"{url}/v1/chat/completions", data=body) as answer:
        await answer.read()
        answer.raise_for_status()
    took.append(time.perf_counter() - began)


class Traffic:
    """Sessions that grow, at a rate."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._sessions = [self._new() for _ in range(SESSIONS)]

    def _new(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"{self._rng.random()} {text(self._rng.getrandbits(32), PROMPT_BYTES)}"}]

    def body(self) -> bytes:
        place = self._rng.randrange(SESSIONS)
        session = self._sessions[place]
        session += [{"role": r, "content": text(self._rng.getrandbits(32), MORE_BYTES)} for r in ("assistant", "user")]
        if len(session) > 2 * TURNS:
            session = self._sessions[place] = self._new()
        return msgspec.json.encode({"model": MODEL, "messages": session, "max_tokens": 8, "stream": True})

    async def run(self, http: aiohttp.ClientSession, url: str, rate: float, seconds: float) -> list[float]:
        """Ask for so long. Returns how long each answer took."""
        took: list[float] = []
        began, count = time.monotonic(), 0
        async with asyncio.TaskGroup() as asking:
            while (now := time.monotonic()) < began + seconds:
                while began + count / rate <= now:
                    asking.create_task(_ask(http, url, self.body(), took))
                    count += 1
                await asyncio.sleep(0.002)
        return took


def _child(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def _turn(options: argparse.Namespace, workers: Sequence[int], seed: int, listens: bool) -> Cost:
    publishers = ports(options.publishers)
    rules = [f"http://127.0.0.1:{worker}={port}" for worker, port in zip(workers, publishers, strict=True)]
    flags = [flag for rule in rules for flag in ("--kv-events", rule)] if listens else ["--kv-events", "off"]
    command = [sys.executable, "-m", "loadtests.evidence.bench_events", "publish", str(options.blocks_per_s)]
    with TemporaryDirectory() as folder:
        lookups = Path(folder) / "lookups"
        child = _child([*command, *map(str, publishers)])
        assert child.stdout is not None
        child.stdout.readline()
        try:
            async with TimedRouter(ports(1)[0], workers, flags, lookups) as router:
                async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as http:
                    child.send_signal(signal.SIGUSR1)
                    await asyncio.sleep(WARM_S)
                    idle = await _idle_ms(router)
                    traffic = Traffic(seed)
                    await traffic.run(http, router.url, options.rate, WARM_S)
                    before, page, began = (router.serving_ms(), router.all_ms()), await router.page(), time.monotonic()
                    took = await traffic.run(http, router.url, options.rate, options.seconds)
                    seconds, after = time.monotonic() - began, (router.serving_ms(), router.all_ms())
                    then = await router.page()
                await router.stop()
            found = np.fromfile(lookups, dtype="d")[-len(took) :] * 1e6
        finally:
            child.kill()
            child.communicate()
    stored, gaps = (_heard(then, kind) - _heard(page, kind) for kind in ("stored", "gap"))
    serving, every = (end - start for start, end in zip(before, after, strict=True))
    p50, p99 = np.percentile(found, (50, 99))
    answers = float(np.percentile(took, 99)) * 1e3
    shares = (serving * 1e3 / len(took), (every - serving) / 1e3 / seconds)
    return Cost(idle, len(took), *shares, float(p50), float(p99), answers, stored / seconds, gaps)


async def _idle_ms(router: TimedRouter) -> float:
    before, began = router.serving_ms(), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return (router.serving_ms() - before) / (time.monotonic() - began)


def _heard(page: Mapping[str, Mapping[str, float]], kind: str) -> float:
    return page.get("warmroute_kv_events_total", {}).get(kind, 0.0)


async def _measure(options: argparse.Namespace) -> None:
    first = options.stub_port
    stub = [sys.executable, "-m", "loadtests.evidence.cost.stub_worker", "--first-port", str(first), "--chunks", "8"]
    print(f"{machine()}; {options.rate:g} requests/s\n")
    print("| router | idle, ms/s | requests | CPU us each | listener, of a core | look-up p50 / p99, us | answer p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    found: dict[bool, list[Cost]] = {False: [], True: []}
    with _child([*stub, "--workers", str(options.publishers)]) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            workers = range(first, first + options.publishers)
            for number in range(2 * options.pairs):
                listens = number % 4 in (1, 2)
                cost = await _turn(options, workers, number // 2, listens)
                found[listens].append(cost)
                heard = f"hears {cost.blocks_per_s:,.0f} blocks/s, {cost.gaps:.0f} gaps" if listens else "control"
                print(
                    f"| {heard} | {cost.idle_ms:.1f} | {cost.requests} | {cost.cpu_us:.0f} | "
                    f"{cost.listener_share:.0%} | {cost.lookup_p50_us:.1f} / {cost.lookup_p99_us:.1f} | "
                    f"{cost.answer_p99_ms:.0f} ms |",
                    flush=True,
                )
        finally:
            child.send_signal(signal.SIGTERM)
    pairs = list(zip(found[True], found[False], strict=True))
    for name in ("idle_ms", "cpu_us", "lookup_p50_us", "lookup_p99_us", "answer_p99_ms"):
        ratios = [getattr(one, name) / getattr(other, name) for one, other in pairs]
        print(f"\n{name}: {statistics.median(ratios):.2f} times the control's ({min(ratios):.2f} to {max(ratios):.2f})")


def serve() -> int:
    """A router that notes its look-ups."""
    took = array("d")
    observe = timed.TimedIndex.match

    async def match(self: timed.TimedIndex, *what: Any) -> Any:
        began = time.perf_counter()
        found = await observe(self, *what)
        took.append(time.perf_counter() - began)
        return found

    timed.TimedIndex.match = match  # type: ignore[assignment,method-assign]
    code = cli.main()
    Path(os.environ[LOOKUPS]).write_bytes(took.tobytes())
    return code


def main() -> int:
    """Measure; or publish, or serve, as a child of it."""
    if sys.argv[1:2] == ["publish"]:
        publish([int(port) for port in sys.argv[3:]], float(sys.argv[2]))
    if sys.argv[1:2] == ["serve"]:
        return serve()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publishers", type=int, default=16)
    parser.add_argument("--blocks-per-s", type=float, default=50_000.0, help="over all publishers")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--stub-port", type=int, default=9400, help="the first of as many ports as publishers")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measure(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
