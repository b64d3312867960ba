"""`prefix_threshold`: SGLang's `cache_aware` rule: affinity while the fleet is balanced, shortest queue otherwise.

    cost = in_flight            if max - min > 64 and max > 1.5 x min (of requests in flight), the fleet is not balanced
         = uncached tokens      else, if some worker holds over 30 % of the prompt
         = in_flight            else

Affinity is worth most while it costs no wait, and the gap between the most and the least loaded worker is the cheapest
sign of a wait. Here to be compared with, as published. Of several deepest holders the published tree knows the last one
only; here one of them is drawn at random. Source: sglang-router 0.3 and smg, `policies/cache_aware.rs`; thresholds are
the defaults of their command line (the KV usage triggers are off there).

Danger: two cliffs. Affinity is dropped for everyone once one worker is 64 requests ahead, and below that an overloaded
holder keeps its prompts.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

CACHE_THRESHOLD = 0.3
"""Share of the prompt (0..1) that the best holder must exceed. Danger: a long shared system prompt exceeds it alone."""

BALANCE_ABS_REQUESTS = 64
"""Requests between the most and the least loaded worker that count as imbalance. Danger: with N routers that each count
their own requests only, the true gap is N times larger."""

BALANCE_REL = 1.5
"""Ratio of the most to the least load that counts as imbalance, together with the absolute gap."""


class PrefixThreshold:
    """Requests in flight, or uncached tokens where affinity applies."""

    scope: ClassVar[Literal["few", "all"]] = "all"  # the extremes of the load are the whole fleet's
    reasons: ClassVar[tuple[str, ...]] = ("match", "no_match", "imbalanced")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Uncached tokens when affinity applies, else requests in flight."""
        return self._decide(request, candidates)[1]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The deepest holder, or the least loaded worker."""
        reason, costs = self._decide(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        return Selection(candidates[index], reason, costs[index])

    def _decide(self, request: RequestFacts, candidates: Sequence[Candidate]) -> tuple[str, list[float]]:
        loads: list[float] = [c.in_flight for c in candidates]
        low, high = min(loads), max(loads)
        if high - low > BALANCE_ABS_REQUESTS and high > BALANCE_REL * low:
            return "imbalanced", loads
        if max([c.cached_tokens for c in candidates]) > CACHE_THRESHOLD * request.prompt_tokens:
            return "match", [c.uncached_tokens for c in candidates]
        return "no_match", loads
