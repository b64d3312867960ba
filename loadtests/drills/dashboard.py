"""Drill `dashboard`: every query of the dashboard against a real Prometheus that scrapes two routers under load."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from docker.grafana.grafana import ROWS
from docker.grafana.panels import Panel, Query
from loadtests.drills.dashboard_load import CONVERSATIONS, converse, trouble
from loadtests.drills.dashboard_site import Lab, running_lab
from loadtests.harness.prometheus import Prometheus, Series, binary, scraping
from loadtests.laboratory.markdown import Table

INTERVAL = "10s"
STEP_S = 1.0
EMPTY = "**empty**"
"""In the place of a value that no query may lack."""


class Found(NamedTuple):
    """What one query brought."""

    row: str
    panel: Panel
    query: Query
    series: list[Series]


async def run(seconds: float) -> list[Table]:
    """One row for each query."""
    if binary() is None:
        print("dashboard: not run, Prometheus is not installed (Debian: apt-get install prometheus)")
        return []
    return [report(*await check(seconds))]


def report(found: Sequence[Found], alerts: Sequence[str]) -> Table:
    """The empty queries are marked."""
    rows = []
    for one in found:
        last = f"{one.series[0].points[-1][1]:.4g}" if one.series else EMPTY
        rows.append((one.row, one.panel.title, one.query.legend, f"{len(one.series)}", last))
    empty = sum(not one.series for one in found)
    title = f"{len(found)} queries, {empty} empty. Alerts: {', '.join(alerts) or 'none'}."
    return Table(title, ("row", "panel", "query", "series", "last value"), rows)


async def check(seconds: float) -> tuple[list[Found], list[str]]:
    """Load for this many seconds, then all queries, and the names of the alerts that fired or were about to."""
    with tempfile.TemporaryDirectory(prefix="warmroute-dashboard-") as name:
        folder = Path(name)
        async with running_lab(folder) as lab:
            targets = [f"127.0.0.1:{router.port}" for router in lab.routers]
            async with scraping(targets, folder) as server:
                await _load(lab, seconds)
                return await asyncio.to_thread(_all_queries, server, seconds)


async def _load(lab: Lab, seconds: float) -> None:
    headers = {"authorization": f"Bearer {lab.key}"}
    async with httpx.AsyncClient(timeout=30, trust_env=False, headers=headers) as client:
        tasks = [asyncio.create_task(converse(client, lab, seed)) for seed in range(CONVERSATIONS)]
        tasks.append(asyncio.create_task(trouble(client, lab)))
        done, running = await asyncio.wait(tasks, timeout=seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for task in done:
            task.result()


def _all_queries(server: Prometheus, seconds: float) -> tuple[list[Found], list[str]]:
    end = time.time()
    found = []
    for row in ROWS:
        for panel in row.panels:
            for query in panel.queries:
                expr = resolved(query.expr, f"{seconds:.0f}s")
                if panel.kind == "stat":
                    series = server.instant(expr, end)
                else:
                    series = server.over(expr, end - seconds, end, STEP_S)
                found.append(Found(row.title, panel, query, series))
    alerts = [f"{one['labels']['alertname']} ({one['state']})" for one in server.ask("alerts")["alerts"]]
    return found, sorted(set(alerts))


def resolved(expr: str, shown: str = "1h", interval: str = INTERVAL) -> str:
    """The expression as Grafana would send it with All chosen everywhere."""
    for name in ("router", "model", "worker"):
        expr = expr.replace(f"${name}", ".*")
    return expr.replace("$__rate_interval", interval).replace("$__range", shown)
