"""Ask the index, look at the load, let the policy choose: the only place where candidates are made.

`look` awaits once (the index); `Decider.choose` is pure but for the policy's own counters. A decision can be explained
without being carried out.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from policies.api import Candidate, Policy, RequestFacts, Selection, candidate
from router.fleet.groups import ModelGroup
from router.fleet.load_exchange import LoadExchange
from router.fleet.others import NOTHING
from router.fleet.worker import Worker
from router.prefix.index import HASH_BYTES, Held, PrefixIndex
from tokenizer_cache.prompt import Prompt

SMALL_FLEET = 16
"""Up to this many workers are all candidates; of a larger fleet a sample is."""
SAMPLED_LEAST_LOADED = 2
MAX_CANDIDATES = 7
"""The least loaded, one at random and the deepest holders. No more than a small fleet has, so that a decision costs the
same in a large one. Danger: a holder that is neither among the deepest nor among the least loaded is not seen."""


class NoWorkerError(Exception):
    """No healthy worker is left for this request."""


class Sight(NamedTuple):
    """What was found for one request: the workers that can serve it, and how much of its prompt each holder has."""

    workers: Sequence[Worker]
    held: Mapping[str, Held]


class Decision(NamedTuple):
    """The outcome, as a value."""

    worker: Worker
    selection: Selection
    candidates: list[Candidate]
    workers: Sequence[Worker]
    """The candidates' workers, in the same order."""


class Decider:
    """Makes candidates and runs the policy."""

    def __init__(
        self,
        policy: Policy,
        index: PrefixIndex,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        load: LoadExchange | None = None,
    ) -> None:
        """`load`: where other routers' load is read; None without others."""
        self._policy = policy
        self._index = index
        self._rng = rng
        self._clock = clock
        self._load = load

    async def look(self, group: ModelGroup, prompts: Mapping[str, Prompt], excluded: Collection[Worker] = ()) -> Sight:
        """Ask the index once per prompt format in use (nearly always one), and in the same round trip for other
        routers' load. `prompts` is by worker format."""
        fresh = self._load.refresh() if self._load is not None else None
        workers = self._reachable(group, excluded)
        held: dict[str, Held] = {}
        for chain, also in self._questions(group, prompts, workers):
            held.update(await self._index.match(chain, also))
        if fresh is not None and not fresh.done():
            await asyncio.wait((fresh,))
        if len(group.workers) > SMALL_FLEET and self._policy.scope == "few":
            workers = self._with_holders(group, workers, held, excluded)
        return Sight(workers, held)

    def choose(self, sight: Sight, prompts: Mapping[str, Prompt], session: bytes = b"") -> Decision:
        """Run the policy. Raises NoWorkerError."""
        if not sight.workers:
            raise NoWorkerError
        now = self._clock()
        held = sight.held.get
        candidates = [
            candidate_of(worker, prompts.get(worker.format), held(worker.holder), now) for worker in sight.workers
        ]
        selection = self._policy.select(request_facts(prompts, session), candidates)
        worker = sight.workers[candidates.index(selection.candidate)]
        return Decision(worker, selection, candidates, sight.workers)

    def costs(self, decision: Decision, prompts: Mapping[str, Prompt], session: bytes = b"") -> list[float]:
        """The policy's cost for each candidate of `decision`: to explain it."""
        return self._policy.costs(request_facts(prompts, session), decision.candidates)

    def _reachable(self, group: ModelGroup, excluded: Collection[Worker]) -> list[Worker]:
        everyone = group.workers
        if len(everyone) <= SMALL_FLEET or self._policy.scope == "all":
            return [worker for worker in everyone if worker.available() and worker not in excluded]
        idle = self._usable(group.order.lowest(SAMPLED_LEAST_LOADED), excluded)
        if len(idle) < SAMPLED_LEAST_LOADED:
            idle = self._usable(group.order.lowest(len(everyone)), excluded)[:SAMPLED_LEAST_LOADED]
        one = everyone[int(self._rng.random() * len(everyone))]
        if one not in idle and one.available() and one not in excluded:
            idle.append(one)
        return idle

    @staticmethod
    def _usable(workers: list[Worker], excluded: Collection[Worker]) -> list[Worker]:
        return [worker for worker in workers if worker.available() and worker not in excluded]

    @staticmethod
    def _questions(
        group: ModelGroup, prompts: Mapping[str, Prompt], workers: list[Worker]
    ) -> list[tuple[bytes, tuple[str, ...]]]:
        if len(prompts) == 1:
            (prompt,) = prompts.values()
            if not prompt.chain:
                return []
            also = group.holders if len(group.workers) <= SMALL_FLEET else tuple(worker.holder for worker in workers)
            return [(prompt.chain, also)]
        return [
            (prompt.chain, tuple(worker.holder for worker in workers if worker.format == name))
            for name, prompt in prompts.items()
            if prompt.chain
        ]

    @staticmethod
    def _with_holders(
        group: ModelGroup, workers: list[Worker], held: Mapping[str, Held], excluded: Collection[Worker]
    ) -> list[Worker]:
        """Those, and holders until there are enough, the deepest first."""
        found, of = list(workers), group.by_holder.get
        for holder in held:
            worker = of(holder)
            if worker is not None and worker not in found and worker.available() and worker not in excluded:
                found.append(worker)
                if len(found) == MAX_CANDIDATES:
                    break
        return found


def request_facts(prompts: Mapping[str, Prompt], session: bytes) -> RequestFacts:
    """The facts of the request that a policy may use."""
    for prompt in prompts.values():
        return RequestFacts(prompt_tokens=prompt.tokens, session=session, prefix=prefix_of(prompt))
    return RequestFacts(prompt_tokens=0, session=session, prefix=b"")


def prefix_of(prompt: Prompt) -> bytes:
    """The key of its start: its first block's hash; empty for less than a block."""
    return prompt.chain[:HASH_BYTES]


def candidate_of(worker: Worker, prompt: Prompt | None, held: Held | None, now: float) -> Candidate:
    """A snapshot of `worker` for `prompt`. Credit is floored to the worker's alignment and to prompt - 1."""
    pool, gauges, running = worker.pool, worker.gauges, worker.running
    tokens = cached = 0
    if prompt is not None:
        tokens = prompt.tokens
        if held is not None and pool.caches:
            cached = cached_tokens(held.pending_blocks, prompt, pool.align_tokens)
    others = NOTHING if worker.elsewhere is None else worker.elsewhere(now)
    return candidate(
        worker=worker.id,
        cached_tokens=cached,
        uncached_tokens=tokens - cached,
        queued_tokens=(running.ahead(now, worker.prefill_rate) if running.queued_tokens else 0) + others.queued_tokens,
        in_flight=running.in_flight + others.in_flight,
        held_tokens=running.held_tokens + others.held_tokens,
        waiting=gauges.waiting,
        kv_usage=gauges.kv_usage,
        kv_capacity_tokens=pool.capacity_tokens,
        prefill_rate=worker.prefill_rate,
        strangers=gauges.strangers,
        warmth=1.0 if worker.warmth.warm_at <= now else worker.warmth.share(now),
        stay_s=running.lateness.stay_s,
        unique_share=worker.unique_share.value,
    )


def cached_tokens(blocks: int, prompt: Prompt, align_tokens: int) -> int:
    """Tokens that an engine which holds `blocks` blocks of the chain will not recompute: at most prompt - 1, in whole
    blocks of the engine's own size (a full repeat recomputes its last block)."""
    cached = blocks * prompt.block_tokens
    if cached >= prompt.tokens:
        cached = max(0, prompt.tokens - 1)
    return cached - cached % align_tokens
