"""One policy's imagined fleet: the same workers, with what this policy's choices would have left in their memory.

The memory is the router's own simulation of KV pools (`router.prefix.residency`), the load is reckoned: a prompt's new
tokens are computed at its worker's measured rate, one prompt after the other, and its memory is held until the real
request ends. What a world cannot know: that a slower answer would have brought the next turn later, and what engines
would have evicted under requests that run.
"""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policies.api import Candidate, Policy, RequestFacts, candidate
from router.engines.probe import SCRAPE_INTERVAL_S
from router.fleet.worker import Worker
from router.prefix.index import Record, State
from router.prefix.residency import Limits, Residency
from router.routing.decide import cached_tokens
from tokenizer_cache.prompt import Prompt

MOST_CANDIDATES = 64
"""Workers among which a world's policy chooses; of a larger fleet a random part of this size."""
SWEPT = 16
"""Records between two sweeps of a world's memory, which do what one record has postponed."""
MOST_LOADS = 4096
"""Workers whose load is remembered. When there are more, the idle ones are forgotten."""


class Offer(NamedTuple):
    """A worker as every world finds it for one request."""

    worker: Worker
    holder: str
    prompt: Prompt | None
    """In its format."""
    tokens: int
    align_tokens: int
    """Cached tokens are a multiple of it; 0 where its engine caches nothing."""
    capacity_tokens: int
    rate: float
    """Tokens per second that it prefills."""


def offers(workers: Sequence[Worker], prompts: Mapping[str, Prompt]) -> list[Offer]:
    """One for each of these workers."""
    found = []
    for worker in workers:
        pool, prompt = worker.pool, prompts.get(worker.format)
        tokens = prompt.tokens if prompt is not None else 0
        align = pool.align_tokens if pool.caches else 0
        found.append(Offer(worker, worker.holder, prompt, tokens, align, pool.capacity_tokens, worker.prefill_rate))
    return found


class Placing(NamedTuple):
    """One request in one world."""

    worker: Worker
    load: "ImaginedLoad"
    holder: str
    prompt: Prompt
    cached_tokens: int

    @property
    def uncached_tokens(self) -> int:
        """What its worker would have computed."""
        return self.prompt.tokens - self.cached_tokens


class ImaginedLoad:
    """What a worker would have to do, and what its engine would have said of its KV memory."""

    __slots__ = ("_scrape", "_scraped_tokens", "free_at", "held_tokens", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self.held_tokens = 0
        self.free_at = 0.0
        """The time of the clock, in seconds, at which its queue is worked off."""
        self._scrape = 0
        self._scraped_tokens = 0

    def count(self, requests: int, tokens: int, now: float) -> None:
        """So many more requests and tokens of prompts are there from now on."""
        self.scraped(int(now / SCRAPE_INTERVAL_S))
        self.in_flight += requests
        self.held_tokens += tokens

    def scraped(self, scrape: int) -> int:
        """Tokens held at the last scrape, which has this number. Danger: with those held now, a session finds its
        worker just left, and policies that go by usage stay with it as they do not in truth (61 % hits instead of
        40)."""
        if scrape != self._scrape:
            self._scrape, self._scraped_tokens = scrape, self.held_tokens
        return self._scraped_tokens


class World:
    """One policy's. `begin` is called for each prompt that goes to a worker, `end` once for each placing."""

    def __init__(self, policy: Policy, limits: Limits, rng: random.Random, clock_now: float = 0.0) -> None:
        self._now = clock_now
        self.residency = Residency(limits, lambda: self._now)
        self._policy = policy
        self._rng = rng
        self._loads: dict[str, ImaginedLoad] = {}
        self._confirmed = 0

    def begin(
        self, offered: Sequence[Offer], prompts: Mapping[str, Prompt], facts: RequestFacts, now: float
    ) -> Placing | None:
        """Choose one of them (never empty); None where the choice has no prompt in its worker's format."""
        self._now = now
        if len(offered) > MOST_CANDIDATES:
            offered = self._rng.sample(offered, MOST_CANDIDATES)
        seen = self._candidates(offered, prompts, now)
        chosen = self._policy.select(facts, seen).candidate
        worker, holder, prompt, *_, rate = offered[seen.index(chosen)]
        if prompt is None:
            return None
        load = self._load(worker)
        load.count(1, prompt.tokens, now)
        load.free_at = max(now, load.free_at) + chosen.uncached_tokens / rate
        if prompt.exact:
            self._confirm(holder, prompt)
        return Placing(worker, load, holder, prompt, chosen.cached_tokens)

    def end(self, placing: Placing, computed: Prompt | None, completion_tokens: int, now: float) -> None:
        """The real request has ended. `computed`: its prompt, exact by now; None where it was not answered."""
        self._now = now
        placing.load.count(-1, -placing.prompt.tokens, now)
        if computed is None or placing.holder != placing.worker.holder:  # its engine was restarted meanwhile
            return
        generated = completion_tokens // computed.block_tokens
        if generated or computed is not placing.prompt or not computed.exact:
            self._confirm(placing.holder, computed, generated)

    def _confirm(self, holder: str, prompt: Prompt, generated: int = 0) -> None:
        if prompt.chain:
            self.residency.apply(Record(holder, prompt.chain, State.CONFIRMED, generated))
            self._confirmed += 1
            if self._confirmed % SWEPT == 0:
                self.residency.sweep()

    def _candidates(self, offered: Sequence[Offer], prompts: Mapping[str, Prompt], now: float) -> list[Candidate]:
        """As `router.routing.decide.candidate_of`, with this world's load. One loop: it is run over all workers in each
        world, for each prompt."""
        depths = {name: self.residency.depths(prompt.chain) for name, prompt in prompts.items()}
        seen, loads, scrape = [], self._loads, int(now / SCRAPE_INTERVAL_S)
        for worker, holder, prompt, tokens, align, size, rate in offered:
            cached = queued = in_flight = held = scraped = 0
            if align and prompt is not None and (blocks := depths[worker.format](holder)):
                cached = cached_tokens(blocks, prompt, align)
            load = loads.get(worker.id)
            if load is not None:
                in_flight, held, scraped = load.in_flight, load.held_tokens, load.scraped(scrape)
                if load.free_at > now:
                    queued = int((load.free_at - now) * rate)
            seen.append(
                candidate(
                    worker=worker.id,
                    cached_tokens=cached,
                    uncached_tokens=tokens - cached,
                    queued_tokens=queued,
                    in_flight=in_flight,
                    held_tokens=held,
                    waiting=0,
                    kv_usage=min(1.0, scraped / size) if size and scraped else 0.0,
                    kv_capacity_tokens=size,
                    prefill_rate=rate,
                )
            )
        return seen

    def _load(self, worker: Worker) -> ImaginedLoad:
        load = self._loads.get(worker.id)
        if load is None:
            if len(self._loads) >= MOST_LOADS:
                self._loads = {name: load for name, load in self._loads.items() if load.in_flight}
            load = self._loads[worker.id] = ImaginedLoad()
        return load
