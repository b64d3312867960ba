"""One router process: its parts, each made by the module that knows how, and what of them runs in the background."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import BinaryIO

from router.build.basics import basics_of
from router.build.gauges import file_gauges, index_gauges, prompt_gauges, request_gauges, sharing_gauges
from router.build.limits import clients_of, line_limits
from router.build.make_dial import make_dial, make_renewal
from router.build.make_events import make_follower
from router.build.make_fleet import make_fleet, watch_fleet
from router.build.make_gateway import GatewayInputs, make_gateway
from router.build.make_members import make_members
from router.build.make_prompts import make_prompts
from router.build.make_shadows import make_shadows
from router.build.make_sharing import Sharing, make_book_exchange, make_shared_use, make_sharing, make_tree
from router.build.make_trace_file import make_trace_file
from router.build.make_tracing import make_tracing
from router.build.server import make_server
from router.build.tuning import DEFAULTS, Tuning
from router.fleet.metrics import WorkerCollector
from router.fleet.worker import NOT_PROBED
from router.kv_events.alarms import Alarms
from router.kv_events.metrics import EventCollector
from router.members.metrics import DiscoveryCollector
from router.observe.access_log import AccessLog
from router.observe.loop_lag import LoopLag
from router.observe.metrics import Gauge, GaugeCollector, MetricsPage
from router.observe.one_page import OnePage
from router.processes.memory import journal_of
from router.processes.process_config import ProcessConfig
from router.processes.siblings import Siblings
from router.prompts.metrics import EncoderCollector
from router.relay.worker_client import CONNECT_TIMEOUT_S, WorkerClient
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.sessions.metrics import SessionCollector
from router.sessions.shared.fleet_book import FleetBook
from router.settings import Settings
from router.shared.counters import LinkCounters
from router.tasks import Background
from router.wire.body import BodyBudget
from router.wire.watchdog import Watchdog

log = logging.getLogger("warmroute")

WARM_S = 20.0
"""A process waits at most this many seconds for workers and tokenizers before it listens."""
WARM_LOOK_S = 0.02


class Router:
    """All parts of one router process, wired. An async context manager: entering starts what runs in the background.

    What a part needs is made before it and given to it. Two callables close the circles that are left: the gateway
    asks whether the server is draining, which serves it, and makes the metrics page, which counts its requests."""

    def __init__(
        self,
        settings: Settings,
        access_stream: BinaryIO | None = None,
        config: ProcessConfig | None = None,
        tuning: Tuning = DEFAULTS,
    ) -> None:
        self.basics = basics = basics_of(settings, tuning)
        self.config = config
        self.link_counters = LinkCounters(basics.instruments.restarts)
        self.tree = make_tree(basics)
        self.sharing = make_sharing(basics, self.tree, self.link_counters)
        self.index = self.sharing.index if self.sharing else self.tree
        self.fleet = make_fleet(basics, self.index, self.sharing)
        self.dial = make_dial(settings)
        self.follower = make_follower(basics, self.fleet, self.tree, self.sharing, self.dial)
        self.shadows = make_shadows(basics, self.sharing)
        watch_fleet(self.shadows, settings, self.fleet)
        self.prompts = make_prompts(basics, self.fleet, self.dial, self.sharing, journal_of(config))
        self.members = make_members(basics, self.fleet, self.dial, self.sharing)
        self.clients = clients_of(settings)
        self.shared_use = make_shared_use(basics, self.sharing, self.clients) if self.sharing else None
        self.admission = self._make_admission()
        self.book = FleetBook(self.admission, self.sharing.load.name if self.sharing else "")
        self.book_exchange = make_book_exchange(basics, self.sharing, self.book) if self.sharing else None
        self.waiting_room = WaitingRoom(line_limits(settings, tuning), time.monotonic, basics.instruments.queue_wait)
        self.body_budget = BodyBudget(settings.max_buffered_bytes)
        self.client = WorkerClient(CONNECT_TIMEOUT_S, self.dial.resolver, self.dial.tls)
        self.watchdog = Watchdog(time.monotonic)
        self.access_log = AccessLog(access_stream)
        self.trace_file = make_trace_file(basics, self.fleet, config)
        self.lag = LoopLag()
        self.tracing = make_tracing(settings, basics.rng)
        self.gateway = make_gateway(self._gateway_inputs())
        self.server = make_server(self.gateway, settings, self.body_budget, tuning)
        self.renewal = make_renewal(settings, self.dial, self.server.config.ssl, self.sharing)
        self.page = self._make_page()
        self.siblings = Siblings(config, self.page.render) if config else None
        self._stack = AsyncExitStack()

    def _make_admission(self) -> SessionAdmission:
        settings = self.basics.settings
        admission = SessionAdmission(settings.session_wait_s, settings.host_kv_tokens)
        self.fleet.on_forget.append(admission.forget)
        return admission

    def _gateway_inputs(self) -> GatewayInputs:
        return GatewayInputs(
            basics=self.basics,
            fleet=self.fleet,
            index=self.index,
            tree=self.tree,
            sharing=self.sharing,
            shadows=self.shadows,
            dial=self.dial,
            members=self.members,
            prompts=self.prompts,
            clients=self.clients,
            waiting_room=self.waiting_room,
            admission=self.admission,
            book=self.book,
            client=self.client,
            watchdog=self.watchdog,
            access_log=self.access_log,
            trace_file=self.trace_file,
            tracing=self.tracing,
            page=OnePage(self._metrics).page,
            draining=lambda: self.server.draining,
        )

    def _make_page(self) -> MetricsPage:
        """All that this process has to say at `/metrics`."""
        encoders = self.prompts.encoders
        return MetricsPage(
            (
                self.basics.instruments,
                self.link_counters,
                WorkerCollector(self.fleet.workers.values),
                EventCollector(self.follower.heard.values),
                SessionCollector(self.book, self.fleet.workers.values),
                self.shadows,
                EncoderCollector(lambda: encoders.exact, self.prompts.reader, encoders.room),
                GaugeCollector(self._gauges()),
                DiscoveryCollector(self.members.discovery, time.monotonic),
                self.lag,
            )
        )

    def _gauges(self) -> list[Gauge]:
        return [
            *request_gauges(self.gateway, self.body_budget, self.waiting_room),
            *index_gauges(self.tree, self.index),
            *sharing_gauges(self.sharing),
            *prompt_gauges(self.prompts),
            *file_gauges(self.clients, self.access_log, self.trace_file, self.renewal),
            ("warmroute_loop_stall_seconds", "The event loop's longest stall.", lambda: self.lag.worst_s),
        ]

    async def _metrics(self) -> bytes:
        """The page of all processes, made off the event loop."""
        return await (self.siblings.page() if self.siblings else asyncio.to_thread(self.page.render))

    async def __aenter__(self) -> "Router":
        stack = self._stack
        for part in (self.client, self.prompts.pool, self.prompts.asker):
            await stack.enter_async_context(part)
        if self.sharing is not None:
            await stack.enter_async_context(self.sharing.link)
        await stack.enter_async_context(self.index)
        stack.callback(self.access_log.flush)
        stack.callback(self.trace_file.close)
        if self.tracing is not None:
            stack.push_async_callback(self.tracing.close)
        background = await stack.enter_async_context(Background(self.basics.instruments.restarts))
        self._start_own(background)
        if self.sharing is not None:
            self._start_shared(background, self.sharing)
        self._start_members(background)
        stack.push_async_callback(self.members.client.aclose)
        await stack.enter_async_context(self.members.prober)
        if self.siblings is not None:
            await stack.enter_async_context(self.siblings)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def _start_own(self, background: Background) -> None:
        """What a router does that is alone."""
        background.start("watchdog", self.watchdog.run)
        background.start("access log", self.access_log.run)
        if self.trace_file.enabled:
            background.start("trace file", self.trace_file.run)
        background.start("loop lag", self.lag.run)
        background.start("keys file", self.clients.run)
        background.start("tokenizers", self.prompts.encoders.run)
        background.start("header times", self.server.sweep)
        background.start("certificates", self.renewal.run)
        background.start("kv events", self.follower.run)
        background.start("alarms", Alarms(lambda: self.fleet.workers, self.follower.heard).run)

    def _start_shared(self, background: Background, sharing: Sharing) -> None:
        """What a router does for others, and they for it."""
        self._stack.push_async_callback(sharing.load.leave)
        background.start("redis memory", sharing.upkeep.watch)
        background.start("redis refill", sharing.upkeep.refill)
        background.start("fleet load", sharing.load.run)
        if self.members.registry is not None:
            background.start("shared registry", self.members.registry.run)
        if self.shared_use is not None:
            background.start("clients' use", self.shared_use.run)
        if self.book_exchange is not None:
            background.start("sessions", self.book_exchange.run)

    def _start_members(self, background: Background) -> None:
        """Add the listed workers now; discovery adds others when it finds them."""
        members = self.members
        for url in self.basics.settings.workers:
            members.membership.join(url, "listed")
        background.start("discovery", members.discovery.run)
        for feed in members.discovery.feeds:
            background.start(feed.source.name, partial(feed.source.run, feed))

    async def warm(self) -> None:
        """Wait, not for ever, until the workers were looked at and tokenizers are loaded, which stops the event loop
        for a moment. A process that shares its port waits for a worker that can be given requests: it gets its part of
        the connections as soon as it listens."""
        for _ in range(int(WARM_S / WARM_LOOK_S)):
            if self.server.should_exit or (self._knows_workers() and not self.prompts.encoders.loading):
                return
            await asyncio.sleep(WARM_LOOK_S)
        log.warning("no worker is healthy yet, or no tokenizer loaded: serving all the same")

    def _knows_workers(self) -> bool:
        workers = self.fleet.workers.values()
        if self.config is not None:
            return any(worker.available() for worker in workers)
        return not any(worker.reason == NOT_PROBED for worker in workers)
