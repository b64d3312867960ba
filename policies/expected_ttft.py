"""`expected_ttft`, the default: the worker where a prompt costs the fewest seconds, its own and those of others.

    cost = ahead + own + memory wait       seconds until its own first token
         + own x r / (1 - r)               seconds that those lose who come while it is computed
         + batch                           seconds by which answers are longer, its own and those that it joins
    all of it / warmth                     of a worker that has just come into service

    ahead = (queued tokens + 800 x strangers waiting) / prefill rate
    own   = uncached tokens / prefill rate
    r     = busy workers / (workers + 1), busy: something is being prefilled there
    batch = answer / 2 x (held tokens + in_flight x (prompt tokens + 800)) / KV capacity; answer: mean time, measured

A holder keeps its session until waiting for it takes longer than computing the prompt elsewhere, and what that costs
others. No threshold decides, and no weight has to be set for a model or a GPU. While a second of prefill is computed, r
seconds of new work come and wait for it; while these are computed r^2 come, and so on: r / (1 - r) in all. So a fleet
with time to spare answers each request as soon as it can, and a busy one goes where least is computed. The load is the
fleet's, because the prompts that come go to any worker, and each counts once, however long its queue is: with its own
load, every worker that is idle for a moment would draw sessions; with the lengths of queues, one crowded holder would
keep its sessions however idle the others are. What many prompts share is copied when the batches of its holders have
become so large that answers lose more there than computing it elsewhere takes. docs/policies.md derives it. Sources:
the work that an arrival brings about in a queue, D. R. Cox and W. L. Smith, "Queues", 1961; own delay plus the delay
imposed on others as the price of a queue, P. Naor, "The Regulation of Queue Size by Levying Tolls", Econometrica 1969.

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

LONGER = 0.5
"""By how many of its own lengths an answer is longer in a full pool than alone. Each step reads the weights and what
the batch holds, and both share the GPU's memory, so in a full pool it takes about twice as long; and a batch that is
larger than others shrinks to their size while an answer runs, so that half of it is met. Danger: at 1, a tenth of the
turns leave their holders in a busy fleet; at 0, one worker keeps a prefix that all share, and answers slowly; with each
worker's own mean in place of all workers', sessions leave one that has had a few long answers."""

ANSWER_TOKENS = 800
"""Tokens that the answer of a request in flight is thought to hold, beside its prompt. Danger: at 0 the batches of
short prompts are not told apart."""

USUAL_CAPACITY = 300_000
"""KV tokens of a worker that does not say how many it has: a model of 32 billion parameters on two H100. Danger: at a
tenth of the truth, batches count for ten times as much."""


class ExpectedTtft:
    """cost = ahead + own / (1 - r) + memory wait + batch, in seconds, over warmth."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "spilled", "cold", "no_prompt")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Seconds. Unknown capacity: no memory wait."""
        prompt_tokens = request.prompt_tokens
        price = price_of_work(candidates)
        joins = prompt_tokens + ANSWER_TOKENS
        longer = LONGER * sum([c.answer_s for c in candidates]) / len(candidates)
        return [
            (
                (c.queued_tokens + price * c.uncached_tokens + WAITING_TOKENS * c.strangers) / c.prefill_rate
                + longer * (c.held_tokens + c.in_flight * joins) / (c.kv_capacity_tokens or USUAL_CAPACITY)
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
