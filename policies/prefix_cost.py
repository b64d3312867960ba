"""`prefix_cost`: NVIDIA Dynamo's linear cost: prefill still to be done plus KV in use, in tokens.

    cost = 1.0 x (queued + uncached tokens) + (held + prompt tokens)

The first term is the prefill that this request would wait for and do, the second the KV memory in use, both as they
would be with this request. Source: Dynamo 1.6, `lib/kv-router/src/scheduling/selector/default.rs`, with its defaults:
overlap credit 1, prefill load scale 1, no weight per request, temperature 0 (the lowest cost wins, equal ones by lot).
Dynamo counts blocks; dividing every cost by the same block size changes no decision.

Danger: the weight, which is no property of any hardware (see below). Neither speed nor warmth of a worker is in it.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

PREFILL_LOAD_SCALE = 1.0
"""Weight of a token to prefill against a token held while decoding (no unit), Dynamo's default. Danger: the two are not
worth the same time on any hardware; a lower weight scatters sessions under load, a higher one piles them up."""


class PrefixCost:
    """Tokens to prefill, weighted, plus tokens held."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("cached", "cold")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Tokens, this request's own included."""
        prompt_tokens = request.prompt_tokens
        return [
            PREFILL_LOAD_SCALE * (c.queued_tokens + c.uncached_tokens) + c.held_tokens + prompt_tokens
            for c in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The cheapest candidate; `cached` says that it holds some of the prompt."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        chosen = candidates[index]
        return Selection(chosen, "cached" if chosen.cached_tokens else "cold", costs[index])
