"""`expected_ttft`, the default: the worker whose first token is expected soonest.

Everything is priced in seconds, so that no threshold decides between affinity and load: a holder keeps its session
until waiting for it takes longer than computing the prompt elsewhere. Runs on every request: the loop in `costs` must
call nothing per candidate.
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
"""Prefill tokens assumed for a request that the engine reports as waiting: an agent's median turn brings 600 to 900 new
tokens. Covers clients that no router sees; our own are in `queued_tokens` already. Danger: the gauge is as old as the
last scrape, and a higher price makes all routers flee from the same worker until the next one."""

IN_FLIGHT_S = 0.02
"""Seconds per request in the batch that is joined. A running request lengthens each engine step by about 1 ms (0.8 is
published for Llama-3.3-70B on two H100), so this is mostly what all in the batch lose over their answers. Danger:
without it, one shared system prompt of 3,000 tokens can hold a whole fleet's traffic on one worker; at 0.2, short
sessions lose their worker."""

KV_TURNOVER_S = 5.0
"""Seconds in which a full KV pool frees its size: about one answer's time, 4.9 s in the median of recorded agents.
Danger: prompts that share blocks are counted once each in `held_tokens`; the reported usage scales the term down."""


class ExpectedTtft:
    """cost = (queued + 1.05 uncached + 800 waiting) / prefill_rate + 0.02 in_flight + memory wait, in seconds.

    memory wait = 5 s x (held + prompt - capacity) / capacity, where that is positive, times the KV usage where known:
    the prompt cannot start before running requests have freed its share (Little's law), or one must be preempted.
    All of it is divided by the warmth of a worker that has just come into service.
    """

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "spilled", "cold", "no_prompt")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Expected seconds to the first token, with the small prices above. Unknown capacity: no memory wait."""
        prompt_tokens = request.prompt_tokens
        return [
            (
                (c.queued_tokens + RECOMPUTE_WEIGHT * c.uncached_tokens + WAITING_TOKENS * c.waiting) / c.prefill_rate
                + IN_FLIGHT_S * c.in_flight
                + (
                    KV_TURNOVER_S * (c.kv_usage or 1.0) * ((c.held_tokens + prompt_tokens) / c.kv_capacity_tokens - 1.0)
                    if 0 < c.kv_capacity_tokens < c.held_tokens + prompt_tokens
                    else 0.0
                )
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
        if not request.prompt_tokens:
            reason = "no_prompt"
        elif not deepest:
            reason = "cold"
        else:
            reason = "cached" if chosen.cached_tokens == deepest else "spilled"
        return Selection(chosen, reason, costs[index])
