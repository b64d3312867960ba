"""Builds everything in one place and runs it.

With it build `limits.py`, `sharing.py` and the `make_*` modules; what they build is given values, and never reads
settings or the environment.
"""

import asyncio
import gc
import logging
import os
import random
import secrets
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import BinaryIO

import uvloop

from router.build.limits import clients_of, index_limits, room_limits
from router.build.make_discovery import sources_of
from router.build.make_encoders import make_asker, make_encoders
from router.build.make_gateway import make_exposition, make_gateway
from router.build.make_sharing import make_link, make_sharing
from router.build.make_tracing import make_tracing
from router.build.server import Server, make_server
from router.clients.shared_use import SharedUse
from router.dial.allow import AllowList
from router.dial.certificates import Authorities, KeyPair, Renewal, worker_tls
from router.dial.resolver import Resolver
from router.engines import control_client
from router.engines.probe import ProbeConfig, Prober
from router.fleet.breaker import Breaker
from router.fleet.load_exchange import LoadExchange
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker_names import worker_id
from router.fleet.workers import NOT_PROBED, Fleet, Worker
from router.members.book import Book
from router.members.membership import Membership
from router.members.reconcile import Reconciler
from router.members.registry import Registry, Shelf
from router.observe.access_log import AccessLog
from router.observe.loop_lag import LoopLag
from router.observe.metrics import Instruments
from router.prefix.tree import TreeIndex
from router.processes.place import Place, on_orphaned
from router.processes.siblings import Siblings
from router.prompts.encoding import EncodePool
from router.relay.worker_client import WorkerClient
from router.routing.waiting_room import WaitingRoom
from router.settings import Settings
from router.shared.counters import LinkCounters
from router.shared.keys import Keys
from router.shared.seal import Seal
from router.tasks import Background
from router.wire.body import BodyBudget
from router.wire.watchdog import Watchdog
from tokenizer_cache.keyed import KeyedHash
from tokenizer_cache.reader import Reader

log = logging.getLogger("warmroute")

SWITCH_INTERVAL_S = 0.0005
"""A thread that renders a template in Python gives the GIL back this soon; the default of 5 ms would stall the loop."""
WARM_S = 20.0
"""A process waits so long for workers and tokenizers before it listens."""
WARM_LOOK_S = 0.02
GC_THRESHOLDS = (5_000, 5, 1_000_000)
"""What lives long here (the index, the conversations) is not cyclic, and going through 190,000 nodes takes 130 ms: the
oldest generation is left alone, and the middle one never has more than 30,000. Cycles of failed requests die young."""
READER_SHARE = 8
"""This part of the conversation cache's room is for recognising bodies."""


def serve(settings: Settings, place: Place | None = None) -> None:
    """Run a router until it is told to stop. `place` is given to one of several processes. Returns after draining."""
    who = f"%(name)s [{place.number}]" if place else "%(name)s"
    logging.basicConfig(
        level=settings.log_level.upper(), stream=sys.stderr, format=f"%(asctime)s %(levelname)s {who}: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads spin for work that one prompt does not have
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, place))


async def run(settings: Settings, place: Place | None = None) -> None:
    """The router's whole life inside a running event loop."""
    router = Router(settings, sys.stdout.buffer if settings.access_log else None, place)
    async with router:
        server = router.server
        server.drain_on_signals()
        if place is not None:
            on_orphaned(server.drain)
        await router.warm()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        log.info("serving on %s:%d with policy %s", settings.host, settings.port, settings.policy)
        await server.serve(place.sockets() if place else None)


class Router:
    """All parts of one router process, wired. An async context manager: entering starts what runs in the background."""

    def __init__(self, settings: Settings, access_stream: BinaryIO | None = None, place: Place | None = None) -> None:
        self._settings = settings
        self.place = place
        self._stack = AsyncExitStack()
        loop = asyncio.get_running_loop()
        self.rng = random.Random(settings.seed if settings.seed is not None else secrets.randbits(64))
        self.secret = settings.index_secret.value.encode() if settings.index_secret else secrets.token_bytes(32)
        self.instruments = Instruments()
        self.link_counters = LinkCounters(self.instruments.restarts)
        self.link = make_link(settings, self.link_counters, self.rng) if settings.redis else None
        self.load = self._make_load()
        self.fleet = Fleet(self._make_worker, loop.call_soon, PrefillRates(settings.prefill_rate))
        self.fleet.shuffle = self.rng.shuffle
        if self.load is not None:
            self.fleet.on_groups.append(partial(self.load.list_workers, self.fleet.workers.values()))
        limits = index_limits(settings)
        self.sharing = make_sharing(settings, self.link, limits, self.instruments, self.rng)
        self.tree = (
            self.sharing.index.local
            if self.sharing
            else TreeIndex(limits, time.monotonic, self.instruments.report_records)
        )
        self.index = self.sharing.index if self.sharing else self.tree
        self.fleet.on_forget.append(self.index.remove_worker)
        self.fleet.on_groups.append(self._set_capacities)
        if self.sharing is not None:
            self.sharing.holders.on_forgotten.append(self.fleet.forgotten_elsewhere)
        self.allow = AllowList(settings.worker_allow, settings.workers)
        self.resolver = Resolver(self.allow)
        pair = KeyPair(settings.worker_tls_certificate, settings.worker_tls_key)
        self.worker_tls = worker_tls(settings.worker_ca, pair, settings.worker_tls_name)
        self.asker = make_asker(self, settings)
        reader_bytes = settings.conversation_cache_bytes // READER_SHARE
        self.encoders = make_encoders(self, settings, settings.conversation_cache_bytes - reader_bytes)
        self.reader = Reader(reader_bytes, KeyedHash(self.secret))
        self.pool = EncodePool(settings.encode_threads)
        self.client = WorkerClient(settings.connect_timeout_s, self.resolver, self.worker_tls)
        self.watchdog = Watchdog(time.monotonic)
        self.access_log = AccessLog(access_stream)
        self.clients = clients_of(settings)
        self.room = WaitingRoom(room_limits(settings), time.monotonic, self.instruments.queue_wait)
        self.body_budget = BodyBudget(settings.max_buffered_bytes)
        self.lag = LoopLag()
        self.prober = self._make_prober()
        self.members = Membership(self.fleet, self.allow, self.prober)
        self.discovery = Reconciler(self.members, sources_of(settings), time.monotonic, settings.leave_s)
        self.discovery.only_roles(settings.worker_roles)
        self.registry = self._make_registry()
        self.use = self._make_use()
        self.exposition = make_exposition(self)
        self.siblings = Siblings(place, self.exposition.render) if place else None
        self.tracing = make_tracing(settings, self.rng)
        self.gateway = make_gateway(self, settings)
        self.server: Server = make_server(self.gateway, settings, self.body_budget)
        self.renewal = self._make_renewal(pair)

    async def __aenter__(self) -> "Router":
        stack = self._stack
        await stack.enter_async_context(self.client)
        await stack.enter_async_context(self.pool)
        await stack.enter_async_context(self.asker)
        if self.link is not None:
            await stack.enter_async_context(self.link)
        await stack.enter_async_context(self.index)
        stack.callback(self.access_log.flush)
        if self.tracing is not None:
            stack.push_async_callback(self.tracing.close)
        background = await stack.enter_async_context(Background(self.instruments.restarts))
        if self.sharing is not None:
            background.start("redis memory", self.sharing.upkeep.watch)
            background.start("redis refill", self.sharing.upkeep.tell)
        background.start("watchdog", self.watchdog.run)
        background.start("access log", self.access_log.run)
        background.start("loop lag", self.lag.run)
        background.start("keys file", self.clients.run)
        background.start("tokenizers", self.encoders.run)
        background.start("header times", self.server.sweep)
        background.start("certificates", self.renewal.run)
        if self.load is not None:
            stack.push_async_callback(self.load.leave)
            background.start("fleet load", self.load.run)
        if self.registry is not None:
            background.start("shared registry", self.registry.run)
        if self.use is not None:
            background.start("clients' use", self.use.run)
        for url in self._settings.workers:
            self.members.join(url, "listed")
        background.start("discovery", self.discovery.run)
        for feed in self.discovery.feeds:
            background.start(feed.source.name, partial(feed.source.run, feed))
        stack.push_async_callback(self._prober_client.aclose)
        await stack.enter_async_context(self.prober)
        if self.siblings is not None:
            await stack.enter_async_context(self.siblings)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def warm(self) -> None:
        """Wait, not for ever, until the workers were looked at and tokenizers are loaded, which stops the event loop
        for a moment. A process that shares its port waits for a worker that can be given requests: it gets its part of
        the connections as soon as it listens."""
        for _ in range(int(WARM_S / WARM_LOOK_S)):
            if self.server.should_exit or (self._knows_workers() and not self.encoders.loading):
                return
            await asyncio.sleep(WARM_LOOK_S)
        log.warning("no worker is healthy yet, or no tokenizer loaded: serving all the same")

    def _knows_workers(self) -> bool:
        workers = self.fleet.workers.values()
        if self.place is not None:
            return any(worker.available() for worker in workers)
        return not any(worker.reason == NOT_PROBED for worker in workers)

    def _make_worker(self, url: str) -> Worker:
        settings = self._settings
        breaker = Breaker(time.monotonic, settings.breaker_failures, settings.breaker_open_s)
        worker = Worker(url, breaker, settings.prefill_rate, time.monotonic, settings.block_tokens)
        worker.warmth.ramp_s = settings.warm_in_s
        worker.on_suspect = lambda: self.prober.look_soon(worker.id)
        if self.load is not None:
            self.load.attach(worker)
        return worker

    def seal(self, purpose: str) -> Seal:
        """What signs one purpose's values in Redis."""
        return Seal(self.secret, self._settings.redis_prefix, purpose)

    def _make_registry(self) -> Registry | None:
        if self.link is None:
            return None
        keys, seal = Keys(self._settings.redis_prefix), self.seal("registry")
        shelf = Shelf(self.link, keys, seal, self.instruments.registry_entries)
        listed = frozenset(worker_id(self.allow.check(url)) for url in self._settings.workers)
        return Registry(shelf, Book(self.allow.check, worker_id), self.members, time.time, listed)

    def _make_load(self) -> LoadExchange | None:
        if self.link is None:
            return None
        keys, name = Keys(self._settings.redis_prefix), secrets.token_hex(8)
        return LoadExchange(self.link, keys, name, self.seal("load"), time.monotonic)

    def _make_use(self) -> SharedUse | None:
        if self.link is None or self.load is None:
            return None
        place = self.link, Keys(self._settings.redis_prefix)
        return SharedUse(self.clients, self.load, place, self.seal("use"), time.monotonic)

    def _set_capacities(self) -> None:
        for worker in self.fleet.workers.values():
            own = worker.kv_capacity_tokens or self._settings.default_kv_tokens
            tokens = own + self._settings.host_kv_tokens
            self.index.set_capacity(worker.holder, tokens // worker.chain_block_tokens)

    def _make_renewal(self, worker_pair: KeyPair) -> Renewal:
        settings, ours = self._settings, self.server.config.ssl
        renewal = Renewal()
        renewal.watch(self.worker_tls.context, worker_pair)
        renewal.watch(self.worker_tls.context, Authorities(settings.worker_ca))
        renewal.watch(ours, KeyPair(settings.tls_certificate, settings.tls_key))
        renewal.watch(ours, Authorities(settings.tls_client_ca))
        if self.link is not None:
            renewal.watch(self.link.address.tls, self.link.address.pair)
            renewal.watch(self.link.address.tls, self.link.address.authorities)
        return renewal

    def _make_prober(self) -> Prober:
        settings = self._settings
        key = settings.worker_api_key.value if settings.worker_api_key else ""
        self._prober_client = control_client(settings.health_timeout_s, key, self.worker_tls, self.resolver)
        config = ProbeConfig(
            interval_s=settings.scrape_interval_s,
            health_interval_s=settings.health_interval_s,
            unhealthy_after=settings.unhealthy_after,
        )
        return Prober(self.fleet, self._prober_client, time.monotonic, self.rng, config)
