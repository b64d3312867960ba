"""`python -m loadtests.rollout [workers|routers|haproxy|all] [--seconds 60]`: runs drills, prints a table for each."""

import argparse
import asyncio
from collections.abc import Sequence
from functools import partial

import uvloop

from loadtests.cost.report import machine
from loadtests.endurance.__main__ import measured
from loadtests.rollout import routers, workers
from loadtests.rollout.haproxy import installed

DRILLS = {"workers": workers.run, "routers": routers.run, "haproxy": routers.run_haproxy}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser("python -m loadtests.rollout", description="Change under load, and fail nothing.")
    parser.add_argument("drill", nargs="?", choices=[*DRILLS, "all"], default="all", help="default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load, for each drill")
    options = parser.parse_args(arguments)
    names = list(DRILLS) if options.drill == "all" else [options.drill]
    if not installed() and "haproxy" in names:
        names.remove("haproxy")
        print("haproxy: not run, it is not installed")
    print(f"Machine: {machine()}.\n", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in names:
            runner.run(measured(partial(DRILLS[name], options.seconds)))


if __name__ == "__main__":
    main()
