"""Drill `bad-workers`: one of four workers answers 500 at once, or hangs before or after its first byte; then three of
them at the same time. Health probes see nothing of it.

Each case has a router of its own, so that none starts with another's breakers.
"""

import time
from contextlib import AsyncExitStack
from typing import NamedTuple

from loadtests.harness import results as r
from loadtests.harness.client import chat, steady
from loadtests.harness.processes import MODEL, Engine, Router
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports

STREAMS = 60
WORKERS = 4
LAST_S = 14.0
RAMP_S = 1.0
ANSWER_TOKENS = 20
"""An answer takes a second."""
FIRST_BYTE_S = 3
SILENCE_S = 2
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--speed", "0.1")
HANG_AFTER_CHUNKS = 5


class Case(NamedTuple):
    """Which faults are in force, on one worker each."""

    name: str
    faults: tuple[str, ...]


CASES = (
    Case("fast 500s", ("status_500",)),
    Case("hangs before", ("hang_before",)),
    Case("hangs after", ("hang_after",)),
    Case("all three", ("status_500", "hang_before", "hang_after")),
)


async def run() -> list[Table]:
    """About 75 s."""
    _, *engine_ports = ports(1 + WORKERS)
    columns: list[list[str]] = []
    names: list[str] = []
    async with AsyncExitStack() as stack:
        engines = [Engine(port, *ENGINE) for port in engine_ports]
        for engine in engines:
            await stack.enter_async_context(engine)
        for case in CASES:
            rows = await _case(case, engines)
            names = [name for name, _ in rows]
            columns.append([value for _, value in rows])
    table = [(name, *values) for name, *values in zip(names, *columns, strict=True)]
    limits = f"first byte {FIRST_BYTE_S} s, silence {SILENCE_S} s"
    title = f"{STREAMS} streams of 1 s for {LAST_S:.0f} s, {WORKERS} workers of which one (or three) fail; {limits}"
    return [Table(title, ("", *(case.name for case in CASES)), table)]


async def _case(case: Case, engines: list[Engine]) -> list[tuple[str, str]]:
    limits = ("--first-byte-timeout-s", str(FIRST_BYTE_S), "--silence-timeout-s", str(SILENCE_S))
    numbers = iter(range(1_000_000))
    async with Router(ports(1)[0], engines, "--tokenizer", "off", *limits) as router:
        struck = [int((await engine.state())["faults_struck"]) for engine in engines]
        for engine, kind in zip(engines, case.faults, strict=False):
            await engine.fault(kind, after_chunks=HANG_AFTER_CHUNKS)
        began = time.perf_counter()
        results = await steady(
            router.port,
            STREAMS,
            RAMP_S,
            began + LAST_S,
            lambda: chat(MODEL, f"Case {case.name}, request {next(numbers)}.", ANSWER_TOKENS),
        )
        struck = [int((await engine.state())["faults_struck"]) - n for engine, n in zip(engines, struck, strict=True)]
        for engine in engines:
            await engine.fault("none")
        retries = (await router.metrics()).get("warmroute_retries_total", {})
        left = await router.left_over()
    return rows_of(results, began, struck[: len(case.faults)], retries, left)


def rows_of(
    results: list[r.Result], began: float, struck: list[int], retries: dict[str, float], left: dict[str, float]
) -> list[tuple[str, str]]:
    """One case's column: (measure, value)."""
    bad = [result for result in results if result.end is not r.End.COMPLETE]
    late = [result for result in bad if result.started_at > began + LAST_S / 2]
    longest = max((result.ended_at - result.started_at for result in results), default=float("nan"))
    return [
        ("requests", number(len(results))),
        ("not complete", f"{len(bad)} ({100 * len(bad) / max(1, len(results)):.1f} %)"),
        ("... as clients saw it", r.ends(bad)),
        ("... sent in the second half", number(len(late))),
        ("sent to a failing worker", " + ".join(map(str, struck))),
        ("retries", number(sum(retries.values()))),
        ("TTFT p50 / p99", f"{number(r.ttft_ms(results, 0.5))} / {number(r.ttft_ms(results, 0.99))} ms"),
        ("longest request", number(longest, "s", 1)),
        ("left over at the end", str(left or 0)),
    ]
