"""`python -m loadtests.drills [NAME ...]`: runs drills, prints their tables and how busy the machine was.

streams       500 streams at once for a minute
killed        a worker dies under load and comes back
bad-workers   a worker answers 500, or hangs before or after its first byte
worker-set    workers come and go by file, DNS and admin API
restarts      two routers behind a TCP balancer are restarted in turn
haproxy       the same behind HAProxy
routers       sessions that do not fit, over 1, 3 and 5 routers; Redis and a router break
overload      two and four times the load of the knee, with the router's queue and without
faults        Redis, or a router, breaks: one case after the other
recorded      live traffic as a trace file, replayed by the laboratory; exit code 1 when they differ by a point
shadows       what a shadow says of round robin, against a fleet that runs it; exit code 1 when they differ by a tenth
dashboard     every query of the Grafana dashboard against a real Prometheus; exit code 1 when one is empty
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from loadtests.drills import (
    bad_workers,
    dashboard,
    faults,
    killed,
    overload,
    recorded,
    restarts,
    routers,
    shadows,
    streams,
    worker_set,
)
from loadtests.harness.machine import Ticks, machine
from loadtests.laboratory.markdown import Table

Drill = Callable[[argparse.Namespace], Awaitable[Sequence[Table]]]
DRILLS: dict[str, Drill] = {
    "streams": lambda options: streams.run(),
    "killed": lambda options: killed.run(),
    "bad-workers": lambda options: bad_workers.run(),
    "worker-set": lambda options: worker_set.run(options.seconds),
    "restarts": lambda options: restarts.run(options.seconds),
    "haproxy": lambda options: restarts.run_haproxy(options.seconds),
    "routers": lambda options: routers.run(options.seconds),
    "overload": lambda options: overload.run(),
    "faults": lambda options: faults.run(options.only, options.secured),
    "recorded": lambda options: recorded.run(options.seconds),
    "shadows": lambda options: shadows.run(options.seconds),
    "dashboard": lambda options: dashboard.run(options.seconds),
}


MARKS = (dashboard.EMPTY, recorded.APART, shadows.APART)
"""Cells that say that something is not as it should be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drills that were asked for. Returns 1 if a table says that something is not as it should be."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.drill if name not in DRILLS]:
        parser.error(f"no such drill: {', '.join(unknown)}; there are {', '.join(DRILLS)}")
    print(f"Machine: {machine()}.\n", flush=True)
    bad = False
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in options.drill or DRILLS:
            tables = runner.run(_measured(DRILLS[name](options)))
            bad = bad or any(mark in row for table in tables for row in table.rows for mark in MARKS)
    return int(bad)


async def _measured(drill: Awaitable[Sequence[Table]]) -> Sequence[Table]:
    before, began = Ticks.now(), time.perf_counter()
    tables = await drill
    print("\n\n".join(table.markdown() for table in tables))
    print(f"\nTook {time.perf_counter() - began:.0f} s; {Ticks.now().since(before)}.\n", flush=True)
    return tables


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m loadtests.drills", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("drill", nargs="*", metavar="NAME", help="default: all, about half an hour")
    add("--seconds", type=float, default=60.0, help="of load: worker-set, restarts, haproxy, dashboard")
    add("--only", nargs="*", default=[""], help="faults: the cases whose name contains one of these")
    add("--secured", action="store_true", help="faults: a Redis with TLS, and a user with the documented rights")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
