"""`python -m loadtests.faults`: three routers on one Redis, under load, while something breaks. Prints a table.

The answers that a killed router was giving end with it, as with any server: they are counted apart and asked for again.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence

import uvloop

from loadtests.cost.report import machine
from loadtests.endurance import results as r
from loadtests.endurance.processes import NotReady
from loadtests.endurance.report import Table, Ticks, number
from loadtests.faults.cases import CASES, Case
from loadtests.faults.site import ENGINE, ROUTERS, WORKERS, Load, running_site
from loadtests.faults.stores import secured, single

CONVERSATIONS = 16
WARM_S = 6.0
AFTER_S = 4.0
COLUMNS = ("case", "requests", "failed", "hung", "TTFT p50", "p99 before", "p99 during", "p99 after", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser("python -m loadtests.faults", description="Redis breaks, requests do not.")
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose name contains one of these")
    parser.add_argument(
        "--secured", action="store_true", help="a Redis with TLS, and a user with the documented rights"
    )
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if any(word in case.name for word in options.only)]
    if options.secured:
        chosen = [case._replace(stores=secured) for case in chosen if case.stores is single]
    print(f"Machine: {machine()}.\n", flush=True)
    before = Ticks.now()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = [runner.run(row(case)) for case in chosen]
    title = (
        f"{ROUTERS} routers, {WORKERS} workers ({' '.join(ENGINE)}), {CONVERSATIONS} conversations of 15 to 40 KB; "
        f"each case lasts 10 s"
    )
    print(Table(title, COLUMNS, rows).markdown())
    print(f"\n{Ticks.now().since(before)}.", flush=True)


async def row(case: Case) -> tuple[str, ...]:
    """One case, on processes of its own."""
    if lacking := case.lacking():
        return (case.name, *["-"] * 7, f"not run: {lacking}")
    async with running_site(case.stores, case.clocks) as site:
        load = Load(site, CONVERSATIONS)
        await asyncio.sleep(WARM_S)
        struck = time.perf_counter()
        try:
            said = await case.strike(site)
        except NotReady as error:
            said = f"NOT AS IT SHOULD: {error}"
        mended = time.perf_counter()
        await asyncio.sleep(AFTER_S)
        results = await load.stop()
    cut = f", {load.cut} answers cut with it" if load.cut else ""
    parts = [
        [result for result in results if result.started_at < struck],
        [result for result in results if struck <= result.started_at < mended],
        [result for result in results if result.started_at >= mended],
    ]
    hung = r.count(results, r.End.HUNG)
    failed = len(results) - r.count(results, r.End.COMPLETE) - hung
    times = [number(r.ttft_ms(results, 0.5), "ms"), *(number(r.ttft_ms(part, 0.99), "ms") for part in parts)]
    found = (case.name, number(len(results)), number(failed), number(hung), *times, said + cut)
    print(f"{': '.join(found[:2])} requests, {r.ends(results)}; {', '.join(found[4:])}", flush=True)
    return found


if __name__ == "__main__":
    main()
