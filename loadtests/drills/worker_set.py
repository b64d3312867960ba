"""Drill `worker-set`: the worker set changes twice a second, by file, DNS and admin API at once, under load.

Two workers belong to each of the three; one of the file's always stays, the others come and go at random. A worker that
leaves is drained and, a second later, removed: what runs there must not notice.
"""

import asyncio
import itertools
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from loadtests.harness import results as r
from loadtests.harness.client import chat, steady
from loadtests.harness.name_server import NameServer
from loadtests.harness.processes import MODEL, Engine, Router, total, until
from loadtests.laboratory.markdown import Table, number
from loadtests.ports import ports

STREAMS = 40
CHANGE_S = 0.5
EACH = 2
NAME = "_http._tcp.workers.test"
ENGINE = ("--tokenizer", "bytes", "--block-tokens", "64", "--speed", "0.5")
ANSWER_TOKENS = 20
FLAGS = ("--worker-allow", "127.0.0.1", "--tokenizer", "off")
TUNING = {"discovery_interval_s": 0.1, "leave_s": 1.0}


@dataclass(slots=True)
class Changes:
    """What was done to the worker set."""

    rng: random.Random
    rounds: int = 0
    named: dict[str, int] = field(default_factory=lambda: {"file": 0, "DNS": 0, "admin": 0})
    """Workers that joined or left, by way."""
    sets: dict[str, frozenset[str]] = field(default_factory=dict)

    def draw(self, way: str, urls: Sequence[str], always: Sequence[str] = ()) -> frozenset[str]:
        """The next set of this way's workers."""
        chosen = frozenset([*always, *(url for url in urls if self.rng.random() < 0.5)])
        self.named[way] += len(chosen ^ self.sets.get(way, frozenset()))
        self.sets[way] = chosen
        return chosen


class Churn:
    """Changes the set until it is cancelled."""

    def __init__(self, engines: Sequence[Engine], server: NameServer, file: Path, url: str) -> None:
        urls = [engine.url for engine in engines]
        self._by_file, self._by_dns, self._by_admin = urls[:EACH], urls[EACH : 2 * EACH], urls[2 * EACH :]
        self._ids = {engine.url: engine.worker for engine in engines}
        self._server = server
        self._file = file
        self.url = url
        """The router's."""
        self.changes = Changes(random.Random(7))

    def name_first(self) -> None:
        """Before the router starts."""
        self._write(self.changes.draw("file", self._by_file, self._by_file[:1]))
        self._server.set("host.workers.test", "A", "127.0.0.1")

    async def run(self) -> None:
        """Change the set for ever."""
        async with httpx.AsyncClient(headers={"x-warmroute-admin-key": "x"}, timeout=10) as admin:
            due = time.perf_counter()
            while True:
                due += CHANGE_S
                await asyncio.sleep(due - time.perf_counter())
                self.changes.rounds += 1
                self._write(self.changes.draw("file", self._by_file, self._by_file[:1]))
                found = self.changes.draw("DNS", self._by_dns)
                records = [f"0 0 {url.rpartition(':')[2]} host.workers.test." for url in found]
                self._server.set(NAME, "SRV", *records)
                before = self.changes.sets.get("admin", frozenset())
                await self._administer(admin, before, self.changes.draw("admin", self._by_admin))

    def _write(self, urls: frozenset[str]) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps({"workers": sorted(urls)}))
        new.replace(self._file)

    async def _administer(self, admin: httpx.AsyncClient, before: frozenset[str], after: frozenset[str]) -> None:
        for url in after - before:
            (await admin.post(f"{self.url}/admin/workers", json={"url": url})).raise_for_status()
        for url in before - after:
            (await admin.delete(f"{self.url}/admin/workers/{self._ids[url]}")).raise_for_status()


async def run(last_s: float = 60.0, streams: int = STREAMS) -> list[Table]:
    """About `last_s` and 15 seconds."""
    router_port, *engine_ports = ports(1 + 3 * EACH)
    engines = [Engine(port, *ENGINE) for port in engine_ports]
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(NameServer())
            file = Path(folder) / "workers.json"
            given = ("--dns-server", server.address, "--worker-dns", f"http+srv://{NAME}", "--worker-file", str(file))
            router = Router(router_port, [], *given, *FLAGS, tuning=TUNING)
            churn = Churn(engines, server, file, router.url)
            churn.name_first()
            for process in (*engines, router):
                await stack.enter_async_context(process)
            await until(lambda: _serves(router), 20, "no worker was found")
            results = await _under_load(router, churn, last_s, streams)
            left = await router.left_over()
    return [table(results, churn.changes, last_s, left)]


async def _serves(router: Router) -> bool:
    return total(await router.metrics(), "warmroute_worker_healthy") > 0


async def _under_load(router: Router, churn: Churn, last_s: float, streams: int) -> list[r.Result]:
    numbers = itertools.count()
    changing = asyncio.create_task(churn.run())
    try:
        until_s = time.perf_counter() + last_s
        return await steady(
            router.port, streams, 2.0, until_s, lambda: chat(MODEL, f"{next(numbers)} count on.", ANSWER_TOKENS)
        )
    finally:
        assert not changing.done(), "the worker set could not be changed"
        changing.cancel()


def table(results: list[r.Result], changes: Changes, last_s: float, left: dict[str, float]) -> Table:
    """Everything but `complete` is a failed request."""
    lost = [result for result in results if result.end is not r.End.COMPLETE]
    named = ", ".join(f"{count} by {way}" for way, count in changes.named.items())
    rows = [
        ("changes of the set", number(changes.rounds)),
        ("workers that joined or left", named),
        ("requests", number(len(results))),
        ("failed, cut or hung", f"{len(lost)}" + (f" ({r.ends(lost)})" if lost else "")),
        ("TTFT p50 / p99", f"{number(r.ttft_ms(results, 0.5))} / {number(r.ttft_ms(results, 0.99))} ms"),
        ("workers that answered", number(len({result.worker for result in results if result.worker}))),
        ("left over at the end", str(left or 0)),
    ]
    return Table(f"The worker set changes every {CHANGE_S} s for {last_s:.0f} s", ("", "measured"), rows)
