"""Drills `restarts` and `haproxy`: two routers behind a balancer are restarted in turn, under load.

SIGTERM, wait, start again. The balancer is a plain one of ours, or HAProxy with the configuration of this repository.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from loadtests.harness import results as r
from loadtests.harness.balancer import Balancer
from loadtests.harness.client import chat, steady
from loadtests.harness.haproxy import Haproxy, installed
from loadtests.harness.processes import MODEL, Engine, Router, until
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports

STREAMS = 40
WORKERS = 2
DRAIN_DELAY_S = 1
HAPROXY_DRAIN_DELAY_S = 4
"""It asks each second, and believes the second no."""
START_S = 120.0
"""On a machine that is busy with other work a start takes long."""
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--speed", "0.5")
ANSWER_TOKENS = 20


@dataclass(slots=True)
class Restarts:
    """How long each took, in seconds."""

    drains: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)


async def run(last_s: float = 60.0, streams: int = STREAMS) -> list[Table]:
    """About `last_s` and 15 seconds."""
    return await _drill(Balancer, DRAIN_DELAY_S, last_s, streams)


async def run_haproxy(last_s: float = 60.0, streams: int = STREAMS) -> list[Table]:
    """The same behind HAProxy, where it is installed."""
    if not installed():
        print("haproxy: not run, it is not installed")
        return []
    return await _drill(Haproxy, HAPROXY_DRAIN_DELAY_S, last_s, streams)


async def _drill(
    make_balancer: Callable[[Sequence[int]], Balancer | Haproxy], drain_delay_s: int, last_s: float, streams: int
) -> list[Table]:
    flags = ("--tokenizer", "off", "--drain-delay-s", str(drain_delay_s))
    one, two, *engine_ports = ports(2 + WORKERS)
    engines = [Engine(port, *ENGINE) for port in engine_ports]
    routers = [Router(port, engines, *flags) for port in (one, two)]
    async with AsyncExitStack() as stack:
        for process in (*engines, *routers):
            await stack.enter_async_context(process)
        balancer: Balancer | Haproxy = await stack.enter_async_context(make_balancer([one, two]))
        await until(lambda: _all_up(balancer, 2), 10, "the balancer does not see the routers")
        until_s = time.perf_counter() + last_s
        numbers = itertools.count()
        restarting = asyncio.create_task(restart(routers, balancer, until_s))
        results = await steady(
            balancer.port, streams, 2.0, until_s, lambda: chat(MODEL, f"{next(numbers)} count on.", ANSWER_TOKENS)
        )
        restarts = await restarting
        left = [await router.left_over() for router in routers]
    behind = "HAProxy" if isinstance(balancer, Haproxy) else "a TCP balancer"
    title = f"Two routers behind {behind}, restarted in turn for {last_s:.0f} s"
    return [table(title, results, restarts, {key: value for one in left for key, value in one.items()})]


async def restart(routers: list[Router], balancer: Balancer | Haproxy, until_s: float) -> Restarts:
    """In turn, each only when both are in service, until the time is over."""
    done = Restarts()
    for router in itertools.cycle(routers):
        if time.perf_counter() >= until_s:
            return done
        began = time.perf_counter()
        done.codes.append(await router.stop())
        stopped = time.perf_counter()
        done.drains.append(stopped - began)
        router.start()
        await until(lambda: _all_up(balancer, 2), START_S, "a router did not come back")
        done.starts.append(time.perf_counter() - stopped)
    return done


async def _all_up(balancer: Balancer | Haproxy, count: int) -> bool:
    return len(balancer.up) == count


def table(title: str, results: list[r.Result], restarts: Restarts, left: dict[str, float]) -> Table:
    """Everything but `complete` is a failed request."""
    lost = [result for result in results if result.end is not r.End.COMPLETE]
    rows = [
        ("restarts", number(len(restarts.drains))),
        ("exit codes", ", ".join(str(code) for code in sorted(set(restarts.codes)))),
        ("SIGTERM to the end, longest", number(max(restarts.drains, default=0.0), "s", 1)),
        ("start to in service, longest", number(max(restarts.starts, default=0.0), "s", 1)),
        ("requests", number(len(results))),
        ("failed, cut or hung", f"{len(lost)}" + (f" ({r.ends(lost)})" if lost else "")),
        ("TTFT p50 / p99", f"{number(r.ttft_ms(results, 0.5))} / {number(r.ttft_ms(results, 0.99))} ms"),
        ("left over at the end", str(left or 0)),
    ]
    return Table(title, ("", "measured"), rows)
