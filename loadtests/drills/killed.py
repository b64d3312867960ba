"""Drill `killed`: one worker of four dies under load (SIGKILL) and is back ten seconds later on the same port.

Requests without a first byte must not notice; streams that had begun there must say that they broke.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from loadtests.harness import results as r
from loadtests.harness.client import ask, chat, steady
from loadtests.harness.processes import MODEL, START_S, Engine, Router, until
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports

STREAMS = 150
WORKERS = 4
EXTRA = 60
"""Requests sent at once just before the kill, so that many wait for their prefill when it comes."""
RAMP_S = 5.0
KILL_S = 8.0
AWAY_S = 10.0
AFTER_S = 14.0
ANSWER_TOKENS = 100
PROMPT = "word " * 600
"""About 750 tokens: 0.15 s of prefill."""
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--speed", "0.1")


@dataclass(frozen=True, slots=True)
class Times:
    """Moments of one run, on the client's clock."""

    killed: float
    serves: float
    """When the new process answers."""
    healthy: float
    """When the router takes it as healthy."""


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """What the router itself says at the end."""

    retries: dict[str, float]
    restarts: float
    """Restarts of the killed worker that the router noticed."""
    left: dict[str, float]


async def run() -> list[Table]:
    """Run the drill: about 40 s."""
    router_port, *engine_ports = ports(1 + WORKERS)
    engines = [Engine(port, *ENGINE) for port in engine_ports]
    router = Router(router_port, engines, "--tokenizer", "off")
    async with AsyncExitStack() as stack:
        for process in (*engines, router):
            await stack.enter_async_context(process)
        results, times = await _under_load(router, engines[0])
        metrics, left = await router.metrics(), await router.left_over()
    victim = engines[0].worker
    restarts = metrics["warmroute_worker_restarts_total"][victim]
    return [table(results, times, victim, RouterFigures(metrics.get("warmroute_retries_total", {}), restarts, left))]


async def _under_load(router: Router, victim: Engine) -> tuple[list[r.Result], Times]:
    numbers = iter(range(1_000_000))

    def body() -> bytes:
        return chat(MODEL, f"{next(numbers)} {PROMPT}", ANSWER_TOKENS)

    began = time.perf_counter()
    end = began + KILL_S + AWAY_S + AFTER_S
    load = asyncio.create_task(steady(router.port, STREAMS, RAMP_S, end, body))
    await asyncio.sleep(KILL_S)
    extra = [asyncio.create_task(ask(router.port, body())) for _ in range(EXTRA)]
    await asyncio.sleep(0.15)
    killed = time.perf_counter()
    victim.kill()
    await asyncio.sleep(AWAY_S)
    victim.start()
    await until(victim.ready, START_S, "the engine did not come back")
    serves = time.perf_counter()

    async def seen() -> bool:
        return (await router.metrics())["warmroute_worker_healthy"][victim.worker] > 0

    await until(seen, START_S, "the router did not see it come back")
    healthy = time.perf_counter()
    return await load + await asyncio.gather(*extra), Times(killed, serves, healthy)


def table(results: list[r.Result], times: Times, victim: str, figures: RouterFigures) -> Table:
    """`victim` is the killed worker's id."""
    waiting = [result for result in results if result.waits_at(times.killed)]
    begun = [result for result in results if result.worker == victim and result.lives_at(times.killed)]
    others = [result for result in results if result.worker != victim or not result.lives_at(times.killed)]
    back = r.returned_at(results, victim, times.killed)
    rows = [
        ("requests", number(len(results))),
        ("waiting for a first byte at the kill, on any worker", number(len(waiting))),
        ("... of these got none", number(r.count(waiting, r.End.FAILED, r.End.HUNG))),
        ("all requests that failed before their first byte", number(r.count(results, r.End.FAILED))),
        ("retries", ", ".join(f"{count:.0f} {cause}" for cause, count in figures.retries.items()) or "0"),
        ("streams begun on the killed worker", f"{len(begun)}: {r.ends(begun)}"),
        ("all other requests", f"{len(others)}: {r.ends(others)}"),
        ("seen healthy after its new process answered", number(times.healthy - times.serves, "s", 1)),
        ("first request answered by it was sent", number(back and back - times.serves, "s", 1)),
        ("restarts noticed", number(figures.restarts)),
        ("left over at the end", str(figures.left or 0)),
    ]
    return Table(f"One of {WORKERS} workers killed under {STREAMS} + {EXTRA} streams", ("", "measured"), rows)
