"""Drill `streams`: many concurrent streams for a minute, a new one whenever one ends. None may fail, nothing may be
left over."""

import time
from contextlib import AsyncExitStack

from loadtests.harness import results as r
from loadtests.harness.client import chat, steady
from loadtests.harness.processes import MODEL, Engine, Router
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports

STREAMS = 500
WORKERS = 4
RAMP_S = 10.0
"""One answer's time, so that ends are spread as beginnings are."""
LAST_S = 60.0
ANSWER_TOKENS = 200
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--speed", "0.1")
"""A step, and so a chunk of every stream, each 50 ms."""


async def run() -> list[Table]:
    """About 85 s."""
    router_port, *engine_ports = ports(1 + WORKERS)
    engines = [Engine(port, *ENGINE) for port in engine_ports]
    router = Router(router_port, engines, "--tokenizer", "off")
    numbers = iter(range(1_000_000))
    async with AsyncExitStack() as stack:
        for process in (*engines, router):
            await stack.enter_async_context(process)
        before_mb = router.memory_mb()
        end = time.perf_counter() + RAMP_S + LAST_S
        results = await steady(
            router.port,
            STREAMS,
            RAMP_S,
            end,
            lambda: chat(MODEL, f"Stream number {next(numbers)}: count on.", ANSWER_TOKENS),
        )
        left, after_mb = await router.left_over(), router.memory_mb()
        aborted = sum([(await engine.state())["aborted"] for engine in engines])
    lost = [result for result in results if result.end is not r.End.COMPLETE]
    rows = [
        ("streams completed", number(r.count(results, r.End.COMPLETE))),
        ("errors", f"{len(lost)} ({r.ends(lost)})"),
        ("TTFT p50 / p99", f"{number(r.ttft_ms(results, 0.5))} / {number(r.ttft_ms(results, 0.99))} ms"),
        ("aborted at the engines", number(aborted)),
        ("leases, requests, body bytes, pending left at the end", str(left or 0)),
        ("router's memory before / after", f"{before_mb:.0f} / {after_mb:.0f} MB"),
    ]
    title = f"{STREAMS} concurrent streams of {ANSWER_TOKENS} chunks, 50 ms apart, {LAST_S:.0f} s, {WORKERS} workers"
    return [Table(title, ("", "measured"), rows)]
