"""Drill `faults`: three routers on one Redis, under load, while something breaks and is mended.

The answers that a killed router was giving end with it, as with any server: they are counted apart and asked for again.
"""

import asyncio
import time
from collections.abc import Sequence

from loadtests.drills.fault_cases import CASES, Case
from loadtests.drills.fault_site import ENGINE, ROUTERS, WORKERS, Load, running_site
from loadtests.harness import results as r
from loadtests.harness.processes import NotReady
from loadtests.harness.redis_stores import secured, single
from loadtests.laboratory.markdown import Table, number

CONVERSATIONS = 16
WARM_S = 6.0
AFTER_S = 4.0
COLUMNS = ("case", "requests", "failed", "hung", "TTFT p50", "p99 before", "p99 during", "p99 after", "")


async def run(only: Sequence[str] = ("",), with_tls: bool = False) -> list[Table]:
    """The cases whose name contains one of these words."""
    chosen = [case for case in CASES if any(word in case.name for word in only)]
    if with_tls:
        chosen = [case._replace(stores=secured) for case in chosen if case.stores is single]
    rows = [await row(case) for case in chosen]
    title = (
        f"{ROUTERS} routers, {WORKERS} workers ({' '.join(ENGINE)}), {CONVERSATIONS} conversations of 15 to 40 KB; "
        f"each case lasts 10 s"
    )
    return [Table(title, COLUMNS, rows)]


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
