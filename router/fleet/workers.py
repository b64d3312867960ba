"""The fleet: all workers, and which of them serve which model. Load and health change here alone."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from router.dial.quoting import one_line
from router.engines import Facts, Load
from router.fleet.cache_loss import CacheReport
from router.fleet.groups import ModelGroup, groups_of
from router.fleet.in_words import in_words
from router.fleet.labels import Labels
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Gauges, KvPool, Worker, WorkerState
from router.fleet.worker_names import holder_name

log = logging.getLogger("warmroute")


class DuplicateWorkerError(ValueError):
    """The fleet already has a worker with this URL."""


class UnknownWorkerError(KeyError):
    """No worker has this id."""


class MakeWorker(Protocol):
    """Makes a worker for a rank of the server at a URL."""

    def __call__(self, url: str, *, rank: int = 0) -> Worker: ...


class Fleet:
    """All workers and the model groups. The one place where they are added, removed and change state."""

    def __init__(
        self,
        make_worker: MakeWorker,
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
        self.on_belief: list[Callable[[Worker], None]] = []
        """Called with a worker that is found to keep more or less than was believed."""

    def add(self, url: str) -> Worker:
        """Add a worker, unhealthy until it was probed. Raises DuplicateWorkerError."""
        worker = self._make_worker(url)
        if worker.id in self.workers:
            raise DuplicateWorkerError(worker.url)
        self.workers[worker.id] = worker
        self._changed()
        return worker

    def remove(self, worker_id: str) -> Worker:
        """Forget the server with this worker and all that it holds; its running requests go on. Returns the server's
        first worker, as do the next three. Raises UnknownWorkerError."""
        server = self.get(worker_id).server
        for worker in server.ranks:
            self._retire(worker)
        return server

    def _retire(self, worker: Worker) -> None:
        del self.workers[worker.id]
        worker.draining = True
        worker.state = WorkerState.DRAINING
        self._forget(worker)
        self._changed()

    def get(self, worker_id: str) -> Worker:
        """The worker with this id. Raises UnknownWorkerError."""
        try:
            return self.workers[worker_id]
        except KeyError:
            raise UnknownWorkerError(worker_id) from None

    def drain(self, worker_id: str, draining: bool = True) -> Worker:
        """Give its server nothing new; what runs there finishes. `draining=False` takes it back into service."""
        server = self.get(worker_id).server
        for worker in server.ranks:
            worker.draining = draining
            self._settle(worker, worker.reason)
        return server

    def label(self, worker_id: str, labels: Labels) -> Worker:
        """Set what an operator says of its server. Raises UnknownWorkerError."""
        server = self.get(worker_id).server
        for worker in server.ranks:
            worker.labels = labels
        self._changed()
        return server

    def on_facts(self, worker_id: str, facts: Facts) -> None:
        """Take in what a probe read of a server, and have as many workers as it has ranks. A changed generation is a
        restart: they hold nothing any more."""
        server = self.workers.get(worker_id)
        if server is None:
            return
        before = server.generation
        self._spread(server, max(1, len(facts.ranks)))
        for worker in server.ranks:
            self._take_facts(worker, facts.of_rank(worker.rank))
        if before and facts.generation and facts.generation != before:
            self.on_restart(worker_id)

    def _spread(self, server: Worker, count: int) -> None:
        """Have as many workers as the server has ranks."""
        ranks = server.ranks
        if len(ranks) == count:
            return
        for gone in ranks[count:]:
            self._retire(gone)
        del ranks[count:]
        for rank in range(len(ranks), count):
            worker = self._make_worker(server.url, rank=rank)
            worker.breaker, worker.on_suspect = server.breaker, server.on_suspect
            worker.source, worker.labels = server.source, server.labels
            worker.draining, worker.healthy, worker.restarts = server.draining, server.healthy, server.restarts
            ranks.append(worker)
            self.workers[worker.id] = worker
            self._settle(worker, server.reason)
        for worker in ranks:
            worker.set_ranks(ranks)
        self._changed()

    def _take_facts(self, worker: Worker, facts: Facts) -> None:
        if not worker.generation and facts.generation:
            worker.holder = holder_name(worker.id, facts.generation)
        worker.generation = facts.generation or worker.generation
        changed = worker.facts is None or worker.facts != facts
        worker.facts = facts
        worker.belief.set_capacity(facts.kv_capacity_tokens)
        worker.pool = KvPool(
            capacity_tokens=facts.kv_capacity_tokens,
            kept_tokens=facts.kv_capacity_tokens - (0 if worker.events_complete else worker.belief.lacking_tokens),
            align_tokens=max(1, facts.block_tokens),
            caches=facts.prefix_caching,
        )
        worker.set_format(facts)
        if changed:
            self._changed()

    def on_restart(self, worker_id: str) -> None:
        """The process of this server is a new one."""
        server = self.workers.get(worker_id)
        if server is None:
            return
        for worker in server.ranks:
            worker.restarts += 1
            self._forget(worker)
        self._changed()

    def on_cleared(self, worker_id: str) -> None:
        """The rank says that it holds nothing any more."""
        worker = self.workers.get(worker_id)
        if worker is not None:
            self._forget(worker)
            self._changed()

    def on_events(self, worker_id: str, complete: bool) -> None:
        """Note whether the worker's KV events tell all that it holds. If they do not, its pool is simulated in the size
        that its answers have shown."""
        worker = self.workers.get(worker_id)
        if worker is not None and worker.events_complete != complete:
            worker.events_complete = complete
            self._resize(worker)

    def _resize(self, worker: Worker) -> None:
        lacking = 0 if worker.events_complete else worker.belief.lacking_tokens
        worker.pool = replace(worker.pool, kept_tokens=worker.pool.capacity_tokens - lacking)
        for callback in self.on_belief:
            callback(worker)

    def on_load(self, worker_id: str, load: Load) -> None:
        """Take in the server's own figures, as scraped. Figures of another number of ranks than its facts tell are left
        out: the facts are older."""
        server = self.workers.get(worker_id)
        if server is None:
            return
        loads = load.ranks if len(server.ranks) > 1 else (load,)
        if len(loads) == len(server.ranks):
            for worker, own in zip(server.ranks, loads, strict=True):
                self._take_load(worker, own)

    def _take_load(self, worker: Worker, load: Load) -> None:
        worker.prefill_rate = self._rates.scraped(worker.kind, worker.pace, worker.load, load)
        worker.load = load
        worker.cache_loss.scraped(load.prefill_tokens_sum + (load.generated_tokens_total or 0))
        known = worker.known()
        strangers = min(load.waiting, max(0, load.running + load.waiting - known.in_flight))
        worker.gauges = Gauges(waiting=load.waiting, strangers=strangers, kv_usage=load.kv_usage)
        if not load.waiting:
            computed = known.held_tokens - known.queued_tokens
            worker.unique_share.learn(computed, load.kv_usage * worker.pool.capacity_tokens)

    def reported(self, worker: Worker, report: CacheReport) -> None:
        """Take in what an engine said of one request. Where hits that must come do not, it dropped its cache without
        restarting: what is believed of it is forgotten. Other misses say that it keeps less than was believed."""
        worker.hits.reported(report.predicted_tokens, report.cached_tokens)
        if report.alone_s:
            took = (report.computed_tokens, report.cached_tokens, report.alone_s)
            worker.prefill_rate = self._rates.timed(worker.kind, worker.pace, *took)
        lost = worker.cache_loss.reported(report, worker.room_tokens())
        if lost and self.workers.get(worker.id) is worker:
            log.warning("worker %s has lost its cache: its prefixes are forgotten", worker.id)
            self._forget(worker)
            self._changed()
        elif not worker.events_complete and worker.belief.reported(report):
            self._resize(worker)

    def forgotten_elsewhere(self, holder: str) -> None:
        """Another router has noticed that this holder lost its cache: what was counted here was the same loss."""
        for worker in self.workers.values():
            if worker.holder == holder:
                worker.cache_loss.clear()
                worker.belief.clear()

    def on_healthy(self, worker_id: str) -> None:
        """Note that a probe of this server succeeded."""
        self._health(worker_id, True, "")

    def on_unhealthy(self, worker_id: str, reason: str) -> None:
        """Note that probes of this server failed, or that it must not be used."""
        self._health(worker_id, False, reason)

    def _health(self, worker_id: str, healthy: bool, reason: str) -> None:
        server = self.workers.get(worker_id)
        if server is None:
            return
        if healthy and not server.healthy:
            log.info("worker %s (%s) answers: %s", server.url, server.id, in_words(server))
        elif not healthy:
            log.warning("worker %s (%s) gets no requests: %s", server.url, server.id, one_line(reason))
        for worker in server.ranks:
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
        worker.belief.clear()
        worker.hits.clear()
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
