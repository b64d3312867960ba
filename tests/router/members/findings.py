"""What a source told, for a test to look at, and a fleet whose workers are never really called."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from router.dial.allow import AllowList, Implied, read_rule
from router.engines.probe import ProbeConfig, Prober
from router.members.membership import Membership
from router.members.source import Findings, Source, WorkerSpec
from tests.router.fake_worker import client
from tests.router.fleets import make_fleet


class Heard:
    """Findings that are kept."""

    def __init__(self) -> None:
        self.sets: list[dict[str, WorkerSpec]] = []
        self.failures: list[str] = []
        self.looks = 0
        self._news = asyncio.Event()

    def found(self, specs: Iterable[WorkerSpec]) -> None:
        self.sets.append({spec.url: spec for spec in specs})
        self._news.set()

    def unchanged(self) -> None:
        self.looks += 1
        self._news.set()

    def failed(self, reason: str) -> None:
        self.failures.append(reason)
        self._news.set()

    async def until(self, met: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait until something that was told meets `met`."""
        async with asyncio.timeout(timeout_s):
            while not met():
                self._news.clear()
                await self._news.wait()


@contextmanager
def listening(source: Source) -> Iterator[Heard]:
    """Run a source, and hear what it says. In a running loop."""
    heard = Heard()
    task = asyncio.get_running_loop().create_task(source.run(heard))
    try:
        yield heard
    finally:
        task.cancel()


class Told:
    """A source that a test speaks for."""

    def __init__(self, name: str = "told", implied: Implied | None = None) -> None:
        self.name = name
        self.implied = implied

    async def run(self, findings: Findings) -> None:
        raise NotImplementedError


def membership(*rules: str, listed: tuple[str, ...] = ()) -> Membership:
    """The way into an empty fleet. The prober is not running: nothing is called."""
    fleet = make_fleet(0)
    prober = Prober(fleet, client(), time.monotonic, random.Random(1), ProbeConfig())
    return Membership(fleet, AllowList([read_rule(rule) for rule in rules], listed), prober)
