"""`python -m loadtests.endurance [streams|killed|bad-workers|all]`: runs drills, prints a table for each."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from loadtests.cost.report import machine
from loadtests.endurance import bad_workers, killed, streams
from loadtests.endurance.report import Table, Ticks

DRILLS: dict[str, Callable[[], Awaitable[list[Table]]]] = {
    "streams": streams.run,
    "killed": killed.run,
    "bad-workers": bad_workers.run,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser("python -m loadtests.endurance", description="Nothing lost, under load.")
    parser.add_argument("drill", nargs="?", choices=[*DRILLS, "all"], default="all", help="default: all, 4 minutes")
    options = parser.parse_args(arguments)
    names = list(DRILLS) if options.drill == "all" else [options.drill]
    print(f"Machine: {machine()}.\n", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name in names:
            runner.run(measured(DRILLS[name]))


async def measured(drill: Callable[[], Awaitable[list[Table]]]) -> None:
    """Run one drill and print what it says, and how busy the machine was."""
    before, began = Ticks.now(), time.perf_counter()
    for table in await drill():
        print(table.markdown())
    took_s = time.perf_counter() - began
    print(f"\nTook {took_s:.0f} s; {Ticks.now().since(before)}.\n", flush=True)


if __name__ == "__main__":
    main()
