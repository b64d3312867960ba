"""`expected_ttft`, the default: the worker whose first token is expected soonest.

Everything is priced in seconds, so that no threshold decides between affinity and load: a holder keeps its session
until waiting for it takes longer than computing the prompt elsewhere. Runs on every request: the loop in `costs` must
call nothing per candidate that is not short of memory, but for one look-up.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import lowest

RECOMPUTE_WEIGHT = 1.05
"""Price of an uncached token, in tokens: its own prefill, and 5 % for the requests that will queue behind it. So of two
workers with equal expected times the one that recomputes less wins. In simulated bursts of 8 equal new prompts on 8
idle workers, 2 % let two or three more of them prefill the prompt, 5 % one. Danger: such a burst piles up on its first
worker until the queue there outweighs the surcharge; at 1.1, the p99 of a burst of 16 is 2.5 % above round robin's."""

WAITING_TOKENS = 800
"""Prefill tokens assumed for a request that waits in the engine and that no router sent: an agent's median turn brings
600 to 900 new tokens. Danger: the gauge is as old as the last scrape; counting those of our own, which are in
`queued_tokens` already, drove short sessions off their workers."""

IN_FLIGHT_S = 0.02
"""Seconds per request in the batch that is joined, above the smallest batch. A running request lengthens each engine
step by about 1 ms (0.8 is published for Llama-3.3-70B on two H100), so this is mostly what all in the batch lose over
their answers. Danger: at 0.2, short sessions lose their worker."""

EVICTION_WEIGHT = 2.0
"""Price of what a computed token evicts, in tokens, where the pool is full and all that it holds will be used again: it
is computed again, and evicts in turn. Danger: at 1, 150 shared prefixes that just fit into the fleet's memory are
copied until none fits (12 requests/s on eight workers: 57 % hits instead of 95 %); at 3, bursts queue up at the one
worker that has the prefix."""

REUSE_REQUESTS = 400
"""Requests over which the share of prompts that is found cached is averaged."""

USUAL_KV_TOKENS = 500_000
"""Pool of a worker that does not tell its size, as far as filling it goes."""

MOST_WORKERS = 10_000
"""Workers of which is remembered how far their pools are filled."""

KV_TURNOVER_S = 5.0
"""Seconds in which a full KV pool frees its size: about one answer's time, 4.9 s in the median of recorded agents."""

MOST_PREFIXES = 4096
"""Beginnings of prompts of which the shared length is remembered."""

SHARED_GROWTH = 16
"""Tokens per request by which a remembered shared length grows, so that it follows a system prompt that has become
longer. Danger: between two new conversations it runs ahead, and overrates what is shared."""


class ExpectedTtft:
    """cost = (queued + uncached x (1.05 + 2 x reuse x filled) + 800 strangers waiting) / prefill_rate
    + 0.02 (in_flight - fewest) + memory wait, in seconds. All of it is divided by the warmth of a worker that has just
    come into service.

    What is computed takes the place of something else: `filled` is the share of the worker's pool that this router has
    filled so far, at most 1, `reuse` the share of prompts that was found cached lately. So a copy costs nothing but
    itself while there is room or nothing is used twice, and more where memory is short and prefixes come back.

    What the prompt shares with others that are in flight is cheaper to compute once more: whoever computes it leaves a
    copy for all of them, and the price is divided among them. So one system prompt spreads over the fleet as fast as
    traffic needs it, and a burst of one new document is prefilled on several workers. What is shared is not told: it is
    the least that requests with an equal beginning find held while others with that beginning are in flight. A
    conversation that nobody shares anything with is alone in flight, and pays in full.

    memory wait = 5 s x (held + prompt - capacity) / capacity, where that is positive: the prompt cannot start before
    running requests have freed its share (Little's law), or one must be preempted.
    """

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "spilled", "cold", "no_prompt")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._shared: dict[bytes, int] = {}
        self._reuse = 1.0
        self._filled: dict[str, float] = {}

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Expected seconds to the first token, with the small prices above. Unknown capacity: no memory wait."""
        prompt_tokens = request.prompt_tokens
        shared = min(self._shared.get(request.prefix, 0), max([c.cached_tokens for c in candidates]))
        spared = RECOMPUTE_WEIGHT - 1.0 / (1 + sum([c.alike for c in candidates]))
        fewest = min([c.in_flight for c in candidates])
        evicts, filled = EVICTION_WEIGHT * self._reuse, self._filled.get
        return [
            (
                (
                    c.queued_tokens
                    + (RECOMPUTE_WEIGHT + evicts * filled(c.worker, 0.0)) * c.uncached_tokens
                    - (spared * (shared - c.cached_tokens) if c.cached_tokens < shared else 0.0)
                    + WAITING_TOKENS * c.strangers
                )
                / c.prefill_rate
                + IN_FLIGHT_S * (c.in_flight - fewest)
                + (_memory_s(c, prompt_tokens) if 0 < c.kv_capacity_tokens < c.held_tokens + prompt_tokens else 0.0)
            )
            / c.warmth
            for c in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The soonest candidate. `spilled` says that a deeper holder would have been slower, `cold` that none holds."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng)
        chosen = candidates[index]
        deepest = max([c.cached_tokens for c in candidates])
        if deepest and sum([c.alike for c in candidates]):
            self._share(request.prefix, deepest)
        if not request.prompt_tokens:
            return Selection(chosen, "no_prompt", costs[index])
        self._fill(chosen, request.prompt_tokens)
        reason = "cold" if not deepest else "cached" if chosen.cached_tokens == deepest else "spilled"
        return Selection(chosen, reason, costs[index])

    def _share(self, prefix: bytes, tokens: int) -> None:
        """Others in flight begin alike, and `tokens` of this prompt are held somewhere."""
        self._shared[prefix] = min(tokens, self._shared.get(prefix, tokens) + SHARED_GROWTH)
        if len(self._shared) > MOST_PREFIXES:
            del self._shared[next(iter(self._shared))]

    def _fill(self, chosen: Candidate, prompt_tokens: int) -> None:
        """What this prompt says of reuse, and what it takes of its worker's pool."""
        self._reuse += (chosen.cached_tokens / prompt_tokens - self._reuse) / REUSE_REQUESTS
        share = chosen.uncached_tokens / (chosen.kv_capacity_tokens or USUAL_KV_TOKENS)
        self._filled[chosen.worker] = min(1.0, self._filled.get(chosen.worker, 0.0) + share)
        if len(self._filled) > MOST_WORKERS:
            del self._filled[next(iter(self._filled))]


def _memory_s(candidate: Candidate, prompt_tokens: int) -> float:
    """Prompts that share blocks are counted once each in `held_tokens`, so where the engine's own figure (with what
    waits for prefill) is lower, it holds."""
    capacity, held = candidate.kv_capacity_tokens, float(candidate.held_tokens)
    if candidate.kv_usage:
        held = min(held, candidate.kv_usage * capacity + candidate.queued_tokens)
    return max(0.0, KV_TURNOVER_S * ((held + prompt_tokens) / capacity - 1.0))
