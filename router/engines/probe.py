"""Asks every worker, off the hot path, whether it is alive, what it is and how loaded it is, and reports to one
listener.

There is one task per worker; together they keep to a concurrency and a rate, so that 1,000 workers cost no more than
the rate allows: each is then asked less often. A worker is healthy after one good probe with readable facts. It is
unhealthy after several failed probes, or at once when nothing listens on its port. This module decides nothing else and
keeps no load.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Protocol, Self

import httpx

from router.engines import NO_ANSWERS, AnswerFault, Engine, Facts, Load, WorkerAnswerError, detect, fetch, restarted
from router.tasks import cancel_all

_log = logging.getLogger(__name__)

SCRAPE_INTERVAL_S = 1.0
"""Between two readings of one worker's load. The router counts its own requests itself and exactly; this sees only what
comes from elsewhere. Danger: longer, and a restart or another router's burst is noticed late."""
HEALTH_INTERVAL_S = 2.0
"""Between two health probes of a healthy worker. A failed request makes the next probe immediate, so this is how long a
worker without traffic may be dead unnoticed."""
HEALTH_TIMEOUT_S = 10.0
"""A probe that takes longer has failed. Danger: shorter, and a worker flaps whose HTTP server answers late because long
prompts keep it busy."""
UNHEALTHY_AFTER = 3
"""Failed probes in a row until a worker gets no more requests. Danger: with 1, a busy HTTP server that misses one probe
loses its traffic, and with it the use of its cache."""


class WorkerEvents(Protocol):
    """Receives what probing finds, in the event loop. Must not block and must not fail. It receives nothing after
    `unwatch`."""

    def on_facts(self, worker_id: str, facts: Facts) -> None:
        """Facts were read for the first time, were read after the worker was away, or have changed. A `generation` that
        differs from the last one (neither empty) is a restart: the engine's cache is empty."""
        ...

    def on_load(self, worker_id: str, load: Load) -> None:
        """The engine's figures, about once per interval."""
        ...

    def on_healthy(self, worker_id: str) -> None:
        """The worker may get requests. Called after `on_facts`, and once until it is unhealthy again."""
        ...

    def on_unhealthy(self, worker_id: str, reason: str) -> None:
        """The worker must not get requests. Called again only when the reason changes."""
        ...

    def on_restart(self, worker_id: str) -> None:
        """An engine without a generation restarted (else `on_facts` reports it): a counter fell, or it came back after
        nothing had listened on its port."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """How often workers are asked. Times are in seconds; the HTTP client limits the time of an answer."""

    interval_s: float = SCRAPE_INTERVAL_S
    """Between two looks at one worker: at a healthy worker's load, or for an unhealthy worker's return."""
    health_interval_s: float = HEALTH_INTERVAL_S
    """Between two health probes of a healthy worker; after a failure the next look is a health probe."""
    facts_interval_s: float = 60.0
    """Between two readings of the facts: LoRA adapters come and go at run time."""
    unhealthy_after: int = UNHEALTHY_AFTER
    """Failed probes in a row until a worker is unhealthy."""
    looks_per_s: float = 25.0
    """Over all workers. A look costs about 1 ms of CPU, nearly all of it httpx's, so this bounds the cost of a fleet to
    a few hundredths of a core: with 1,000 workers all intervals are 40 times as long. Requests in flight, which the
    router counts itself, stay exact; and a failed request makes its worker's next look immediate (`look_soon`)."""
    concurrency: int = 32
    """Looks at the same time. A worker that hangs occupies one for as long as an answer may take."""


@dataclass(slots=True, eq=False)
class _Watch:
    """What is known of one worker, between two looks."""

    id: str
    url: str
    engine: Engine | None = None
    """None until the worker is introduced: at the start, and after it was unhealthy."""
    facts: Facts | None = None
    load: Load | None = None
    healthy: bool = False
    reason: str = ""
    problem: str = ""
    """Why there is no load, as last logged."""
    failures: int = 0
    gone: bool = False
    """True when a connection was refused since the facts were read."""
    health_due: float = 0.0
    facts_due: float = 0.0
    soon: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Prober:
    """Watches workers from `async with` to its end. `watch` and `unwatch` may be called before and while it runs."""

    def __init__(
        self,
        workers: WorkerEvents,
        client: httpx.AsyncClient,
        clock: Callable[[], float],
        rng: Random,
        config: ProbeConfig,
    ) -> None:
        self._workers = workers
        self._client = client
        self._clock = clock
        self._rng = rng
        self._config = config
        self._slots = asyncio.Semaphore(config.concurrency)
        self._watches: dict[str, _Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Also those that were cancelled and still close their connections."""
        self._running = False

    async def __aenter__(self) -> Self:
        self._running = True
        for watch in self._watches.values():
            self._start(watch)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running = False
        await cancel_all(self._tasks)

    def watch(self, worker_id: str, url: str) -> None:
        """Probe this worker from now on, at once for the first time. Watching it already, with this URL or another,
        begins anew."""
        self.unwatch(worker_id)
        watch = self._watches[worker_id] = _Watch(worker_id, url)
        if self._running:
            self._start(watch)

    def unwatch(self, worker_id: str) -> None:
        """Stop probing this worker. Fine when it is not watched."""
        watch = self._watches.pop(worker_id, None)
        if watch is not None and watch.task is not None:
            watch.task.cancel()

    def look_soon(self, worker_id: str) -> None:
        """Look now, also at health and facts, because something is odd (a failed request, a missing adapter)."""
        watch = self._watches.get(worker_id)
        if watch is not None:
            watch.health_due = watch.facts_due = 0.0
            watch.soon.set()

    def _start(self, watch: _Watch) -> None:
        watch.task = asyncio.create_task(self._attend(watch), name=f"probe {watch.id}")
        self._tasks.add(watch.task)
        watch.task.add_done_callback(lambda task: self._ended(watch, task))

    def _ended(self, watch: _Watch, task: asyncio.Task[None]) -> None:
        """A crash of a worker's task is a bug of the router: report it, and go on probing."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("probing of worker %s crashed", watch.id, exc_info=error)
        if self._running and self._watches.get(watch.id) is watch:
            asyncio.get_running_loop().call_later(self._config.health_interval_s, self._revive, watch)

    def _revive(self, watch: _Watch) -> None:
        if self._running and self._watches.get(watch.id) is watch:
            self._start(watch)

    async def _attend(self, watch: _Watch) -> None:
        shortest = 0.0  # the first pause is random, so that workers which joined together are not probed together
        while True:
            async with self._slots:
                watch.soon.clear()
                await self._look(watch)
            pause_s = self._config.interval_s * self._stretch() * self._rng.uniform(shortest, 1.1)
            shortest = 0.9
            try:
                async with asyncio.timeout(pause_s):
                    await watch.soon.wait()
            except TimeoutError:
                pass

    def _stretch(self) -> float:
        """The factor by which all intervals are longer, to keep to the rate."""
        return max(1.0, len(self._watches) / (self._config.looks_per_s * self._config.interval_s))

    async def _look(self, watch: _Watch) -> None:
        try:
            if watch.engine is None:
                await self._introduce(watch)
            else:
                await self._look_again(watch, watch.engine)
        except WorkerAnswerError as error:
            self._failed(watch, error)

    async def _introduce(self, watch: _Watch) -> None:
        """Read everything about a worker that is new or was away: what was known about it may be wrong."""
        engine = await detect(self._client, watch.url)
        await self._probe_health(watch, engine)
        facts = await engine.facts(self._client, watch.url)
        before = watch.facts
        if before is not None:
            identified = before.generation and facts.generation
            if watch.gone and not identified:
                self._workers.on_restart(watch.id)
            if watch.gone or before.generation != facts.generation:
                watch.load = None
        watch.gone = False
        watch.facts = None
        self._accept(watch, engine, facts)
        if watch.engine is not None:
            await self._read_load(watch, engine)

    async def _look_again(self, watch: _Watch, engine: Engine) -> None:
        now = self._clock()
        if watch.failures or now >= watch.health_due:
            await self._probe_health(watch, engine)
        if now >= watch.facts_due:
            watch.facts_due = now + self._config.interval_s
            self._accept(watch, engine, await engine.facts(self._client, watch.url))
        if watch.engine is not None:
            await self._read_load(watch, engine)

    async def _probe_health(self, watch: _Watch, engine: Engine) -> None:
        await fetch(self._client, watch.url, engine.health_path)
        watch.failures = 0
        watch.health_due = self._clock() + self._config.health_interval_s * self._stretch()

    def _accept(self, watch: _Watch, engine: Engine, facts: Facts) -> None:
        """Take new facts: the worker is healthy, unless it says itself that it must not be used."""
        watch.facts_due = self._clock() + self._config.facts_interval_s * self._stretch()
        if (reason := facts.unusable) is not None:
            self._down(watch, reason)
            return
        watch.engine = engine
        if facts != watch.facts:
            watch.facts = facts
            self._workers.on_facts(watch.id, facts)
        if not watch.healthy:
            watch.healthy = True
            watch.reason = ""
            self._workers.on_healthy(watch.id)

    async def _read_load(self, watch: _Watch, engine: Engine) -> None:
        """Read the load. Unreadable figures do not make a worker unhealthy; no answer at all does."""
        try:
            load = await engine.load(self._client, watch.url)
        except WorkerAnswerError as error:
            if error.fault in NO_ANSWERS:
                raise
            if str(error) != watch.problem:
                watch.problem = str(error)
                _log.warning("worker %s shows no load: %s", watch.id, error)
            return
        watch.problem = ""
        if load is None:
            return
        before, watch.load = watch.load, load
        if before is not None and restarted(before, load):
            await self._reread(watch, engine)
        if watch.engine is not None:
            self._workers.on_load(watch.id, load)

    async def _reread(self, watch: _Watch, engine: Engine) -> None:
        """Read the facts again, because the engine seems to have restarted between two looks."""
        if watch.facts is not None and not watch.facts.generation:
            self._workers.on_restart(watch.id)
        watch.facts_due = 0.0
        self._accept(watch, engine, await engine.facts(self._client, watch.url))

    def _failed(self, watch: _Watch, error: WorkerAnswerError) -> None:
        if error.fault is AnswerFault.OWN and watch.healthy:
            return
        watch.failures += 1
        watch.gone = watch.gone or error.fault is AnswerFault.REFUSED
        if error.fault is AnswerFault.REFUSED or not watch.healthy or watch.failures >= self._config.unhealthy_after:
            self._down(watch, str(error))

    def _down(self, watch: _Watch, reason: str) -> None:
        watch.engine = None
        if watch.healthy or reason != watch.reason:
            watch.healthy = False
            watch.reason = reason
            self._workers.on_unhealthy(watch.id, reason)
