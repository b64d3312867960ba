"""The workers: their state, their load, and which of them serve which model.

Load and health change here alone. A worker's `holder` is its name in the prefix index: id and engine generation, so
that a restarted engine starts with nothing, and that all routers call it the same.
"""

import logging
from collections.abc import Callable
from enum import Enum

from router.engines import Facts, Load, ModelCard
from router.fleet.breaker import Breaker
from router.fleet.cache_loss import CacheLoss, Turn
from router.fleet.groups import ModelGroup, groups_of
from router.fleet.labels import NO_LABELS, Labels
from router.fleet.lateness import Punctuality
from router.fleet.lease import Lease
from router.fleet.load_order import LoadOrder
from router.fleet.others import NOTHING, Elsewhere
from router.fleet.prefill_rate import PrefillRates
from router.fleet.unique_share import HeldShare
from router.fleet.warmth import Warmth
from router.fleet.worker_names import holder_name, worker_id

NOT_PROBED = "not probed yet"
MIN_CHAIN_BLOCK_TOKENS = 64
"""Shorter index blocks cost memory and time, and gain less than a block of prefill."""

log = logging.getLogger("warmroute")


class WorkerState(Enum):
    """What a worker may be given. Draining workers finish what they have."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


class DuplicateWorkerError(ValueError):
    """A worker with this URL is there already."""


class UnknownWorkerError(KeyError):
    """No worker has this id."""


def chain_block_tokens(engine_block_tokens: int) -> int:
    """The index block for an engine's KV block: its smallest multiple of at least 64 tokens, so that no credit is
    cut."""
    block = max(1, engine_block_tokens)
    return -(-MIN_CHAIN_BLOCK_TOKENS // block) * block


class Worker:
    """One OpenAI-compatible engine endpoint. Counters change through `Lease` only; state through `Fleet` only."""

    def __init__(
        self, url: str, breaker: Breaker, prefill_rate: float, clock: Callable[[], float], block_tokens: int = 0
    ) -> None:
        self._clock = clock
        self._block_tokens = block_tokens
        self._prefill_ends = 0.0
        self.warmth = Warmth(clock)
        self.url = url.rstrip("/")
        self.id = worker_id(self.url)
        self.breaker = breaker
        self.state = WorkerState.UNHEALTHY
        self.reason = NOT_PROBED
        self.generation = ""
        self.restarts = 0
        self.cache_loss = CacheLoss()
        self.holder = self.id
        self.facts: Facts | None = None
        self.load: Load | None = None
        self.prefill_rate = prefill_rate
        self.waiting = 0
        self.strangers = 0
        """Of those waiting in the engine, requests that no router sent; as of the last look."""
        self.kv_usage = 0.0
        self.kv_capacity_tokens = 0
        self.align_tokens = 1
        self.caches = True
        """False when its prefix cache is switched off."""
        self.format = ""
        """Name of its prompt format: workers of one format share a chain."""
        self.chain_block_tokens = MIN_CHAIN_BLOCK_TOKENS
        self.in_flight = 0
        self.queued_tokens = 0
        self.held_tokens = 0
        self.alike: dict[bytes, int] = {}
        """Requests in flight by the key of their prompt's start; no zeros."""
        self.leases: dict[Lease, None] = {}
        self.punctuality = Punctuality(clock)
        self.held_share = HeldShare()
        self.orders: list[LoadOrder[Worker]] = []
        self.draining = False
        self.healthy = False
        self.source = ""
        """Who named it: `listed`, `admin`, or a source of discovery."""
        self.labels = NO_LABELS
        self.on_idle: list[Callable[[], None]] = []
        """Called when the last request has ended. Several may wait for that."""
        self.on_suspect: Callable[[], None] | None = None
        self.on_load: Callable[[Worker], None] | None = None
        """Told after each change of the three counters."""
        self.elsewhere: Callable[[float], Elsewhere] | None = None
        """What other routers have there, at a time of the clock; None without others."""
        self._ordered_elsewhere = 0

    @property
    def models(self) -> tuple[ModelCard, ...]:
        """What the worker said that it serves, and may; empty until it was read."""
        return tuple(card for card in self.facts.models if self.labels.serves(card)) if self.facts else ()

    def set_format(self, facts: Facts) -> None:
        """Which prompts it shares a chain with. For `Fleet` only."""
        self.chain_block_tokens = self._block_tokens or chain_block_tokens(facts.block_tokens)
        self.format = f"{facts.served.key}/{self.chain_block_tokens}"

    def known(self) -> Elsewhere:
        """What is there of requests in flight, over all routers."""
        others = self.elsewhere(self._clock()) if self.elsewhere is not None else NOTHING
        return Elsewhere(
            self.in_flight + others.in_flight,
            self.queued_tokens + others.queued_tokens,
            self.held_tokens + others.held_tokens,
        )

    def suspect(self) -> None:
        """A request failed there: somebody should look."""
        if self.on_suspect is not None:
            self.on_suspect()

    def queue_prefill(self, tokens: int) -> float:
        """`tokens` uncached prompt tokens more wait there, behind what others queued before. Returns when they should
        be computed. For `Lease` only."""
        self.queued_tokens += tokens
        now = self._clock()
        self._prefill_ends = max(now + self._elsewhere_s(now), self._prefill_ends) + tokens / self.prefill_rate
        return self._prefill_ends

    def end_prefill(self, tokens: int) -> None:
        """They are computed, or given up. For `Lease` only."""
        self.queued_tokens -= tokens
        now = self._clock()
        latest = now + self._elsewhere_s(now) + self.queued_tokens / self.prefill_rate
        self._prefill_ends = min(self._prefill_ends, latest)

    def _elsewhere_s(self, now: float) -> float:
        """Seconds of prefill that other routers queued there."""
        return self.elsewhere(now).queued_tokens / self.prefill_rate if self.elsewhere is not None else 0.0

    def prefill_ahead(self, now: float) -> int:
        """Tokens of this router's prefill that a request would find before it at `now`.

        What waits is worked off while it waits, at the worker's rate: counting all of it until the first byte would
        make every busy worker look twice as busy, and drive sessions off their prefix. Once the estimate has run out
        and the first bytes have still not come, the worker is slower than believed, and the doubt grows with the
        delay."""
        if not self.queued_tokens:
            return 0
        return min(self.queued_tokens, round(abs(self._prefill_ends - now) * self.prefill_rate))

    def room_tokens(self) -> int:
        """What fits into the KV pool beside the running requests. 0 where that is not known: ranks have a pool each,
        and while requests wait, an engine short of memory evicts before it admits."""
        if self.waiting or self.facts is None or self.facts.dp_size > 1:
            return 0
        held = max(self.known().held_tokens, round(self.kv_usage * self.kv_capacity_tokens))
        return max(0, self.kv_capacity_tokens - held)

    @property
    def in_service(self) -> bool:
        """Healthy, and not draining."""
        return self.state is WorkerState.HEALTHY

    def available(self) -> bool:
        """May a new request go there now?"""
        return self.state is WorkerState.HEALTHY and self.breaker.allow()

    def count_in_flight(self, step: int) -> None:
        """Add `step` (+1 or -1) to the requests in flight and keep every load order right. For `Lease` only."""
        before = self.ordered_load
        self.in_flight += step
        self._reorder(before)
        if not self.in_flight:
            for callback in tuple(self.on_idle):
                callback()

    def set_elsewhere(self, in_flight: int) -> None:
        """Other routers have so many requests there. For the load orders."""
        before = self.ordered_load
        self._ordered_elsewhere = in_flight
        self._reorder(before)

    @property
    def ordered_load(self) -> int:
        """What load orders go by: requests in flight, over all routers."""
        return self.in_flight + self._ordered_elsewhere

    def _reorder(self, before: int) -> None:
        after = self.ordered_load
        for order in self.orders:
            order.remove(self, before)
            order.add(self, after)


class Fleet:
    """All workers and the model groups. The one place where they are added, removed and change state."""

    def __init__(
        self,
        make_worker: Callable[[str], Worker],
        defer: Callable[[Callable[[], None]], object],
        rates: PrefillRates,
        shuffle: Callable[[list[Worker]], None] | None = None,
    ) -> None:
        """`shuffle` puts workers in an order of this router's own: where all are idle, several routers do not take the
        same."""
        self._make_worker = make_worker
        self._rates = rates
        self._defer = defer
        self._stale = False
        self._shuffle = shuffle
        self.workers: dict[str, Worker] = {}
        self._groups: dict[str, ModelGroup] = {}
        self._everyone = ModelGroup("")
        self.on_forget: list[Callable[[str], None]] = []
        """Called with a holder whose blocks are gone: worker removed, or its engine restarted."""
        self.on_groups: list[Callable[[], None]] = []
        """Called after the model groups changed."""

    def add(self, url: str) -> Worker:
        """A new worker, unhealthy until it was probed. Raises DuplicateWorkerError."""
        worker = self._make_worker(url)
        if worker.id in self.workers:
            raise DuplicateWorkerError(worker.url)
        self.workers[worker.id] = worker
        self._changed()
        return worker

    def remove(self, worker_id: str) -> Worker:
        """Forget the worker and all that it holds; its running requests go on. Raises UnknownWorkerError."""
        worker = self.get(worker_id)
        del self.workers[worker_id]
        worker.draining = True
        worker.state = WorkerState.DRAINING
        self._forget(worker)
        self._changed()
        return worker

    def get(self, worker_id: str) -> Worker:
        """The worker with this id. Raises UnknownWorkerError."""
        try:
            return self.workers[worker_id]
        except KeyError:
            raise UnknownWorkerError(worker_id) from None

    def drain(self, worker_id: str, draining: bool = True) -> Worker:
        """Give it nothing new; what runs there finishes. `draining=False` takes it back into service."""
        worker = self.get(worker_id)
        worker.draining = draining
        self._settle(worker, worker.reason)
        return worker

    def label(self, worker_id: str, labels: Labels) -> None:
        """What an operator says of it has changed. Raises UnknownWorkerError."""
        worker = self.get(worker_id)
        worker.labels = labels
        self._changed()

    def on_facts(self, worker_id: str, facts: Facts) -> None:
        """What a probe read. A changed generation is a restart: the worker holds nothing any more."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return
        restarted = bool(worker.generation and facts.generation and facts.generation != worker.generation)
        if not worker.generation and facts.generation:
            worker.holder = holder_name(worker.id, facts.generation)
        worker.generation = facts.generation or worker.generation
        changed = worker.facts is None or worker.facts != facts
        worker.facts = facts
        worker.kv_capacity_tokens = facts.kv_capacity_tokens
        worker.align_tokens = max(1, facts.block_tokens)
        worker.caches = facts.prefix_caching
        worker.set_format(facts)
        if restarted:
            self.on_restart(worker_id)
        elif changed:
            self._changed()

    def on_restart(self, worker_id: str) -> None:
        """The engine process behind this worker is a new one."""
        worker = self.workers.get(worker_id)
        if worker is None:
            return
        worker.restarts += 1
        self._forget(worker)
        self._changed()

    def on_load(self, worker_id: str, load: Load) -> None:
        """The engine's own figures, as scraped."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            root = worker.models[0].root if worker.models else ""
            worker.prefill_rate = self._rates.learn(f"{worker.format} {root}", worker.load, load)
            worker.load = load
            worker.waiting = load.waiting
            worker.kv_usage = load.kv_usage
            worker.cache_loss.scraped(load.prefill_tokens_sum + (load.generated_tokens_total or 0))
            known = worker.known()
            worker.strangers = min(load.waiting, max(0, load.running + load.waiting - known.in_flight))
            if not load.waiting:
                computed = known.held_tokens - known.queued_tokens
                worker.held_share.learn(computed, load.kv_usage * worker.kv_capacity_tokens)

    def reported(self, worker: Worker, turn: Turn) -> None:
        """What an engine said of one request. Where hits that must come do not, it dropped its cache without
        restarting: what is believed of it is forgotten."""
        lost = worker.cache_loss.reported(turn, worker.room_tokens())
        if lost and self.workers.get(worker.id) is worker:
            log.warning("worker %s has lost its cache: its prefixes are forgotten", worker.id)
            self._forget(worker)
            self._changed()

    def forgotten_elsewhere(self, holder: str) -> None:
        """Another router has noticed that this holder lost its cache: what was counted here was the same loss."""
        for worker in self.workers.values():
            if worker.holder == holder:
                worker.cache_loss.clear()

    def on_healthy(self, worker_id: str) -> None:
        """A probe succeeded."""
        self._health(worker_id, True, "")

    def on_unhealthy(self, worker_id: str, reason: str) -> None:
        """Probes failed, or the worker must not be used."""
        self._health(worker_id, False, reason)

    def _health(self, worker_id: str, healthy: bool, reason: str) -> None:
        worker = self.workers.get(worker_id)
        if worker is not None:
            worker.healthy = healthy
            self._settle(worker, reason)

    def group(self, model: str) -> ModelGroup | None:
        """The workers that serve `model`; None when none ever said so."""
        if self._stale:
            self._regroup()
        return self._groups.get(model)

    @property
    def groups(self) -> dict[str, ModelGroup]:
        """Every model name served, with its workers."""
        if self._stale:
            self._regroup()
        return self._groups

    @property
    def everyone(self) -> ModelGroup:
        """All workers, whatever they serve."""
        if self._stale:
            self._regroup()
        return self._everyone

    def _changed(self) -> None:
        """Groups are rebuilt once for many changes: 1,000 workers that appear together must not cost 1,000 rebuilds."""
        if not self._stale:
            self._stale = True
            self._defer(self._regroup)

    def _settle(self, worker: Worker, reason: str) -> None:
        before = worker.state
        if worker.draining:
            worker.state = WorkerState.DRAINING
        else:
            worker.state = WorkerState.HEALTHY if worker.healthy else WorkerState.UNHEALTHY
        worker.reason = reason
        if worker.state is not before:
            if worker.state is WorkerState.HEALTHY and before is WorkerState.UNHEALTHY:
                worker.warmth.begin()
            self._changed()

    def _forget(self, worker: Worker) -> None:
        forgotten = worker.holder
        worker.cache_loss.clear()
        worker.holder = holder_name(worker.id, worker.generation)
        for callback in self.on_forget:
            callback(forgotten)

    def _regroup(self) -> None:
        if not self._stale:
            return
        self._stale = False
        workers = list(self.workers.values())
        if self._shuffle is not None:
            self._shuffle(workers)
        self._everyone, self._groups = groups_of(workers)
        for callback in self.on_groups:
            callback()
