"""`least_loaded`: the worker that would drain its prefill queue first, kept away from a full KV pool.

    cost = (queued tokens / prefill rate + 0.15 x k / (1 - k)) / warmth      seconds, k: KV usage
         = requests in flight / warmth                                       while no worker reports its usage

Knows nothing of prefixes: the honest opponent of every rule that does. The first term is the time for the work ahead;
the second is a barrier, which grows without end as the pool fills. Source: `least_load` of the Shepherd Model Gateway
(smg 1.13, `policies/least_load.rs`), with its default weight. smg adds the tokens dispatched since the last poll to the
queue that the engine reports; `queued_tokens` comes from leases and holds both. The cost without reports is smg's as
well.

Danger: it scatters sessions, and their prompts are computed again at each turn.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import lowest

KV_PRESSURE_S = 0.15
"""Seconds that a half full KV pool counts for, smg's default. Danger: at 1 and more, a pool that is merely well used
(cached blocks are not counted, running ones are) outweighs a prefill queue of many thousand tokens."""

FULL_POOL = 0.999
"""Highest KV usage in the formula (share, 0..1): keeps the barrier finite at 1."""


class LeastLoaded:
    """Seconds of work ahead, the full pool's barrier included."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("least_work", "fewest_requests")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Seconds of work ahead; requests in flight while no usage is known."""
        usages = [min(c.kv_usage, FULL_POOL) for c in candidates]
        if not any(usages):
            return [c.in_flight / c.warmth for c in candidates]
        return [
            (c.queued_tokens / c.prefill_rate + KV_PRESSURE_S * usage / (1.0 - usage)) / c.warmth
            for c, usage in zip(candidates, usages, strict=True)
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The least loaded candidate."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng)
        reason = "least_work" if any(c.kv_usage for c in candidates) else "fewest_requests"
        return Selection(candidates[index], reason, costs[index])
