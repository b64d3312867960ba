"""`lmetric`: prefill tokens times batch size, a rule without any weight to tune.

    cost = (queued + uncached tokens + 1) x (in_flight + 1) / warmth

A sum of two loads needs a weight that says what one is worth in the other, and that differs by model and GPU. A product
needs none: a constant factor changes no decision. Both factors are as they would be with this request, because a
product with a zero says nothing of its other factor: an idle worker would cost 0 whether it holds the prompt or not.
Hence the batch counts this request, as in Dynamo, and the tokens one more (for routes without a prompt). Source: D.
Zhang et al., "LMetric: Simple is Better - Multiplication May Be All You Need for LLM Request Scheduling", arXiv
2603.15202; the same product, in blocks, is Dynamo's `lmetric` selection policy.

Danger: an idle worker has a factor of 1, a holder with ten requests one of 11: a session leaves it for the idle one as
soon as the tokens queued and uncached there are more than an eleventh of its prompt. Prefill rates are not in it:
workers that differ in speed count as equal.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest


class LMetric:
    """Token-requests: both factors as they would be with this request."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "cold")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Tokens to prefill times requests in the batch."""
        return [(c.queued_tokens + c.uncached_tokens + 1) * (c.in_flight + 1) / c.warmth for c in candidates]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The candidate with the smallest product; `cached` says that it holds some of the prompt."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        chosen = candidates[index]
        return Selection(chosen, "cached" if chosen.cached_tokens else "cold", costs[index])
