"""`expected_ttft`, the default: the worker where a prompt costs the fewest seconds, its own and those of others.

    cost = ahead + own + memory wait       seconds until its own first token
         + own x r / (1 - r)               seconds that those lose who come while it is computed
         + 0.02 x (in_flight - fewest)     seconds that those in the batch lose
    all of it / warmth                     of a worker that has just come into service

    ahead = (queued tokens + 800 x strangers waiting) / prefill rate
    own   = uncached tokens / prefill rate
    r     = busy workers / (workers + 1), busy: something is being prefilled there

A holder keeps its session until waiting for it takes longer than computing the prompt elsewhere, and what that costs
others. No threshold decides, and no weight has to be set for a model or a GPU. While a second of prefill is computed, r
seconds of new work come and wait for it; while these are computed r^2 come, and so on: r / (1 - r) in all. So a fleet
with time to spare answers each request as soon as it can, and a busy one goes where least is computed. The load is the
fleet's, because the prompts that come go to any worker, and each counts once, however long its queue is: with its own
load, every worker that is idle for a moment would draw sessions; with the lengths of queues, one crowded holder would
keep its sessions however idle the others are. docs/policies.md derives it. Sources: the work that an arrival brings
about in a queue, D. R. Cox and W. L. Smith, "Queues", 1961; own delay plus the delay imposed on others as the price of
a queue, P. Naor, "The Regulation of Queue Size by Levying Tolls", Econometrica 1969.

Pure: with equal candidates and equal draws it decides equally. Runs on every request: the loop in `costs` must call
nothing for a candidate that is not short of memory.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.memory_wait import memory_wait_s
from policies.ties import lowest

WAITING_TOKENS = 800
"""Prefill tokens assumed for a request that waits in the engine and that no router sent: an agent's median turn brings
600 to 900 new tokens. Danger: the gauge is as old as the last scrape; counting those of our own, which are in
`queued_tokens` already, drove short sessions off their workers."""

IN_FLIGHT_S = 0.02
"""Seconds per request in the batch that is joined, above the smallest batch. A running request lengthens each engine
step by about 1 ms (0.8 is published for Llama-3.3-70B on two H100), so this is mostly what all in the batch lose over
their answers. Danger: at 0.2, short sessions lose their worker; at 0, what all workers hold goes to any of them."""


class ExpectedTtft:
    """cost = ahead + own / (1 - r) + memory wait + 0.02 x (in_flight - fewest), in seconds, over warmth."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "spilled", "cold", "no_prompt")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Seconds. Unknown capacity: no memory wait."""
        prompt_tokens = request.prompt_tokens
        price = price_of_work(candidates)
        fewest = min([c.in_flight for c in candidates])
        return [
            (
                (c.queued_tokens + price * c.uncached_tokens + WAITING_TOKENS * c.strangers) / c.prefill_rate
                + IN_FLIGHT_S * (c.in_flight - fewest)
                + (memory_wait_s(c, prompt_tokens) if 0 < c.kv_capacity_tokens < c.held_tokens + prompt_tokens else 0.0)
            )
            / c.warmth
            for c in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The cheapest candidate. `spilled`: a deeper holder would have been dearer; `cold`: none holds anything."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng)
        chosen = candidates[index]
        if not request.prompt_tokens:
            return Selection(chosen, "no_prompt", costs[index])
        deepest = max([c.cached_tokens for c in candidates])
        reason = "cold" if not deepest else "cached" if chosen.cached_tokens == deepest else "spilled"
        return Selection(chosen, reason, costs[index])


def price_of_work(candidates: Sequence[Candidate]) -> float:
    """Seconds that a second of prefill costs all together: 1 / (1 - r). One worker more than there are, and idle, keeps
    it finite, at most workers + 1; it is also what a fleet of two knows of its load by one look."""
    idle = [c.queued_tokens for c in candidates].count(0)
    return (len(candidates) + 1) / (idle + 1)
