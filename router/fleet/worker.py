"""One worker: what the engine said of itself, what the router has there, what it was found to be like.

A server with several data-parallel ranks is as many workers: each rank has a KV pool, a queue and events of its own.
What concerns the process or its address (health, breaker, draining, labels) is the server's: its workers share one
breaker, and `Fleet` sets the rest for all of `ranks` together.

Its counters change through `Lease` alone, its state through `Fleet` alone. Its `holder` is its name in the prefix
index: id and engine generation, so that a restarted engine starts with nothing, and that all routers call it the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from router.engines import Facts, Load, ModelCard
from router.fleet.breaker import Breaker
from router.fleet.cache_loss import CacheLoss
from router.fleet.hit_record import HitRecord
from router.fleet.labels import NO_LABELS
from router.fleet.load_order import LoadOrder
from router.fleet.others import NOTHING, Elsewhere
from router.fleet.pool_belief import PoolBelief
from router.fleet.prefill_rate import PrefillPace
from router.fleet.running import Running
from router.fleet.unique_share import UniqueShare
from router.fleet.warmth import Warmth
from router.fleet.worker_names import worker_id

Headers = tuple[tuple[bytes, bytes], ...]
RANK_HEADER = b"x-data-parallel-rank"
"""vLLM and SGLang give a request to the rank that it names, in the order of the ranks on that server."""
NOT_PROBED = "not probed yet"
MIN_CHAIN_BLOCK_TOKENS = 64
"""Shorter index blocks cost memory and time, and gain less than a block of prefill."""


class WorkerState(Enum):
    """What a worker may be given. Draining workers finish what they have."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"


_HEALTHY = WorkerState.HEALTHY
"""Bound once: `available` is asked of every worker for every request."""


def chain_block_tokens(engine_block_tokens: int) -> int:
    """The index block for an engine's KV block: its smallest multiple of at least 64 tokens, so that no credit is
    cut."""
    block = max(1, engine_block_tokens)
    return -(-MIN_CHAIN_BLOCK_TOKENS // block) * block


@dataclass(frozen=True, slots=True)
class KvPool:
    """What is known of a worker's KV cache: from its facts, as corrected by its reports."""

    capacity_tokens: int = 0
    """Tokens that the engine says it can hold; 0 when unknown."""
    kept_tokens: int = 0
    """Of these, the tokens that it is believed to keep for prefixes."""
    align_tokens: int = 1
    """Cached tokens are a multiple of this number."""
    caches: bool = True
    """False when its prefix cache is switched off."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """What the engine reported when it was last scraped."""

    waiting: int = 0
    """Requests waiting in the engine."""
    strangers: int = 0
    """Of these, the requests that no router sent."""
    kv_usage: float = 0.0
    """Share of KV blocks that running requests reference, 0..1."""


class Worker:
    """One OpenAI-compatible engine endpoint, or one rank of it. Counters change through `Lease` only; state through
    `Fleet` only."""

    def __init__(
        self, url: str, breaker: Breaker, prefill_rate: float, clock: Callable[[], float], rank: int = 0
    ) -> None:
        self._clock = clock
        self.block_tokens = 0
        """Tokens of an index block that an operator has set. 0: as the engine's blocks ask for."""
        self.warmth = Warmth(clock)
        self.url = url.rstrip("/")
        self.rank = rank
        """Its place among the ranks of its server, from 0."""
        self.ranks: list[Worker] = [self]
        """All workers of its server, itself included: one list that they share. For `Fleet` alone to write."""
        self.rank_header: Headers = ()
        """The header by which its server gives requests to this rank; empty where the server has one rank."""
        self.id = worker_id(self.url, rank)
        self.breaker = breaker
        self.state = WorkerState.UNHEALTHY
        self.reason = NOT_PROBED
        self.generation, self.restarts = "", 0
        self.cache_loss = CacheLoss()
        self.belief = PoolBelief()
        self.hits = HitRecord()
        self.alarms: frozenset[str] = frozenset()
        """What is wrong with its cache, or with what is told of it."""
        self.events_complete = False
        """Its KV events tell all that it holds, so that its pool need not be simulated."""
        self.holder = self.id
        self.facts: Facts | None = None
        self.load: Load | None = None
        self.pace = PrefillPace()
        self.prefill_rate = prefill_rate
        """Tokens per second: the rate of its kind, at its own pace."""
        self.pool = KvPool()
        self.gauges = Gauges()
        self.format = ""
        """Name of its prompt format: workers of one format share a chain."""
        self.chain_block_tokens = MIN_CHAIN_BLOCK_TOKENS
        self.running = Running(clock)
        """What this router has running there. For `Lease` alone to write."""
        self.unique_share = UniqueShare()
        self.orders: list[LoadOrder[Worker]] = []
        self.draining = self.healthy = False
        self.source = ""
        """What named it: `listed`, `admin`, or a source of discovery."""
        self.labels = NO_LABELS
        self.on_idle: list[Callable[[], None]] = []
        """Called when the last request has ended. Several may wait for that."""
        self.on_suspect: Callable[[], None] | None = None
        self.on_load: Callable[[Worker], None] | None = None
        """Called after each change of the three counters."""
        self.elsewhere: Callable[[float], Elsewhere] | None = None
        """What other routers have there, at a time of the clock; None without others."""
        self._ordered_elsewhere = 0

    @property
    def server(self) -> "Worker":
        """The first of its server's workers: it bears the server's id, which operators and other routers use."""
        return self.ranks[0]

    @property
    def name(self) -> str:
        """Its name for people: its URL, and its rank where there are several."""
        return self.url if len(self.ranks) == 1 else f"{self.url} rank {self.rank}"

    @property
    def models(self) -> tuple[ModelCard, ...]:
        """The models that the worker said it serves, and for which it may get requests; empty until that was read."""
        return tuple(card for card in self.facts.models if self.labels.serves(card)) if self.facts else ()

    def set_ranks(self, ranks: "list[Worker]") -> None:
        """Set the workers of its server, itself included. For `Fleet` only."""
        self.ranks = ranks
        self.rank_header = ((RANK_HEADER, b"%d" % self.rank),) if len(ranks) > 1 else ()

    def set_format(self, facts: Facts) -> None:
        """Set the format that its facts say: workers of one format share chains. For `Fleet` only."""
        self.chain_block_tokens = self.block_tokens or chain_block_tokens(facts.block_tokens)
        self.format = f"{facts.served.key}/{self.chain_block_tokens}"

    def known(self) -> Elsewhere:
        """What requests in flight have there, over all routers."""
        others = self.elsewhere(self._clock()) if self.elsewhere is not None else NOTHING
        return Elsewhere(
            self.running.in_flight + others.in_flight,
            self.running.queued_tokens + others.queued_tokens,
            self.running.held_tokens + others.held_tokens,
        )

    @property
    def kind(self) -> str:
        """Its kind: workers of one kind are expected to be equally fast."""
        return f"{self.format} {self.models[0].root if self.models else ''}"

    def idle_at(self, requests: int = 0) -> float:
        """The time of the clock, if at most `requests` of this router and none of others are there; else 0."""
        if self.running.in_flight > requests or self.gauges.waiting:
            return 0.0
        now = self._clock()
        return 0.0 if self.elsewhere is not None and self.elsewhere(now).in_flight else now

    def suspect(self) -> None:
        """A request failed there: have the prober look at the worker."""
        if self.on_suspect is not None:
            self.on_suspect()

    def queue_prefill(self, tokens: int) -> float:
        """`tokens` uncached prompt tokens more wait there. Returns when they should be computed. For `Lease` only."""
        return self.running.queue(tokens, self.prefill_rate, self._free_at())

    def end_prefill(self, tokens: int) -> None:
        """Take `tokens` out of its queue: they are computed, or given up. For `Lease` only."""
        self.running.unqueue(tokens, self.prefill_rate, self._free_at())

    def _free_at(self) -> float:
        """The time at which the prefills that other routers queued there should be computed; now without others."""
        now = self._clock()
        return now if self.elsewhere is None else now + self.elsewhere(now).queued_tokens / self.prefill_rate

    def room_tokens(self) -> int:
        """Tokens that fit into the KV pool beside the running requests. 0 where that is not known: while requests wait,
        an engine short of memory evicts before it admits."""
        if self.gauges.waiting or self.facts is None:
            return 0
        others = self.elsewhere(self._clock()) if self.elsewhere is not None else NOTHING
        held = max(
            self.running.held_tokens + others.held_tokens, round(self.gauges.kv_usage * self.pool.capacity_tokens)
        )
        return max(0, self.pool.kept_tokens - held)

    @property
    def in_service(self) -> bool:
        """Is it healthy, and not draining?"""
        return self.state is WorkerState.HEALTHY

    def available(self) -> bool:
        """May a new request go there now?"""
        breaker = self.breaker
        return self.state is _HEALTHY and (not breaker.opened or breaker.allow())

    def count_in_flight(self, step: int) -> None:
        """Add `step` (+1 or -1) to the requests in flight and keep every load order right. For `Lease` only."""
        before = self.ordered_load
        self.running.in_flight += step
        self._reorder(before)
        if not self.running.in_flight:
            for callback in tuple(self.on_idle):
                callback()

    def set_elsewhere(self, in_flight: int) -> None:
        """Set how many requests other routers have there, for the load orders."""
        before = self.ordered_load
        self._ordered_elsewhere = in_flight
        self._reorder(before)

    @property
    def ordered_load(self) -> int:
        """The number that load orders go by: requests in flight, over all routers."""
        return self.running.in_flight + self._ordered_elsewhere

    def _reorder(self, before: int) -> None:
        after = self.ordered_load
        for order in self.orders:
            order.move(self, before, after)
