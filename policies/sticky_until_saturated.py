"""`sticky_until_saturated`: llm-d's rule: stay with the workers that hold the prompt until they are 18 s behind.

    cost = (queued + uncached tokens) / prefill rate      seconds
         + 18                                             of a worker that holds under 80 % of the prompt

llm-d keeps the workers with at least 80 % of the prompt cached, unless the best of them would answer over 18 s later
than the best other one; then it takes the least tokens in flight. It expects an answer after uncached tokens in flight
over prefill rate. The filter and its release are one comparison: the best warm worker wins if and only if it is at most
18 s behind the best cold one. llm-d divides by one rate for the fleet; here each worker has its own. Source: llm-d
router, `prefix-cache-affinity-filter` with `token-load-scorer` (default of its guides since August 2026).

Danger: two cliffs, at 80 % and at 18 s (see below); what others lose by a long prefill is not in it.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

AFFINITY_THRESHOLD = 0.8
"""Share of the prompt (0..1) above which a worker counts as warm, llm-d's default. Danger: a session whose last turn
brought more than a fifth of the prompt has no warm worker and goes wherever the queue is shortest."""

MAX_TTFT_PENALTY_S = 18.0
"""Seconds that a request will wait for a warm worker, llm-d's default. Danger: it is above most time limits for a first
token, and a short prompt waits as long as one that would take 18 s to recompute."""


class StickyUntilSaturated:
    """Seconds until the first token, plus 18 for a worker that is not warm."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("warm", "released", "cold")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Seconds; warm and cold workers on one scale."""
        warm_tokens = _warm_tokens(request)
        return [
            (c.queued_tokens + c.uncached_tokens) / c.prefill_rate
            + (0.0 if c.cached_tokens >= warm_tokens else MAX_TTFT_PENALTY_S)
            for c in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The best warm worker, or the best of all: `released` from saturated warm ones, `cold` if there is none."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        warm_tokens = _warm_tokens(request)
        if candidates[index].cached_tokens >= warm_tokens:
            reason = "warm"
        elif max([c.cached_tokens for c in candidates]) >= warm_tokens:
            reason = "released"
        else:
            reason = "cold"
        return Selection(candidates[index], reason, costs[index])


def _warm_tokens(request: RequestFacts) -> float:
    return max(1.0, AFFINITY_THRESHOLD * request.prompt_tokens)  # without a prompt no worker is warm
