"""A real Prometheus for a while: it scrapes the routers it is given each second, and answers queries over HTTP."""

import asyncio
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.ports import ports

ALERTS = Path(__file__).parents[2] / "docker/prometheus/alerts.yaml"
START_S = 30.0


class Series(NamedTuple):
    """One line of a picture."""

    labels: dict[str, str]
    points: list[tuple[float, float]]
    """Unix seconds, value; without those that are not numbers."""


class Prometheus:
    """Sends queries over HTTP. The calls block: use a thread."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **query: object) -> Any:
        """`data` of an answer. Raises urllib's HTTPError for a query that Prometheus refuses."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)["data"]

    def instant(self, expr: str, time: float) -> list[Series]:
        """One point for each series."""
        found = self.ask("query", query=expr, time=time)["result"]
        return numbers((one["metric"], [one["value"]]) for one in found)

    def over(self, expr: str, start: float, end: float, step_s: float) -> list[Series]:
        """A point each `step_s`."""
        found = self.ask("query_range", query=expr, start=start, end=end, step=step_s)["result"]
        return numbers((one["metric"], one["values"]) for one in found)


def numbers(found: Any) -> list[Series]:
    """The part of an answer that can be drawn: samples that are numbers, and series that have any."""
    kept = [Series(labels, [(t, float(v)) for t, v in points if float(v) == float(v)]) for labels, points in found]
    return [series for series in kept if series.points]


def binary() -> str | None:
    """Where Prometheus is installed, if it is."""
    return shutil.which("prometheus")


def configuration(targets: Sequence[str]) -> str:
    """Prometheus' configuration in YAML: it scrapes the routers each second and loads the alert rules."""
    addresses = ", ".join(f"'{target}'" for target in targets)
    return f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{ALERTS}']
scrape_configs:
  - job_name: warmroute
    static_configs: [{{targets: [{addresses}]}}]
"""


@asynccontextmanager
async def scraping(targets: Sequence[str], folder: Path) -> AsyncIterator[Prometheus]:
    """Run it in `folder` until the block ends. `targets` are `host:port`."""
    program = binary()
    assert program is not None, "look before you start it"
    (port,) = ports(1)
    config = folder / "prometheus.yaml"
    config.write_text(configuration(targets))
    flags = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    log = (folder / "prometheus.log").open("wb")
    child = await asyncio.create_subprocess_exec(program, *flags, stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        async with asyncio.timeout(START_S):
            while not await asyncio.to_thread(_answers, server):  # noqa: ASYNC110  (no event crosses processes)
                await asyncio.sleep(0.1)
        yield server
    finally:
        child.terminate()
        await child.wait()
        log.close()


def _answers(server: Prometheus) -> bool:
    try:
        server.ask("query", query="1")
    except OSError:
        return False
    return True
