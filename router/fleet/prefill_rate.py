"""How fast workers prefill: measured from the engines' own sums, pooled over workers that serve the same model.

Times to first token alone cannot tell the rate (affinity keeps uncached parts small, so every fixed cost would pose as
rate). Engines export both the time that prefills took and the tokens that they computed; a prior holds until there is
enough of that. Requests prefilled side by side overlap, so the rate is rather too low than too high.
"""

from router.engines import Load

PRIOR_TOKENS = 65_536
"""Weight of the configured rate, in tokens: after about this many computed tokens the measurement dominates."""
MEMORY = 0.98
"""What is kept of older measurements at each new one."""
MIN_TOKENS = 1024
"""An interval with fewer computed tokens says more about fixed costs than about the rate."""
MAX_TOKENS = 1 << 25
"""No worker computes more between two looks: one lie would outweigh all that is measured after it."""
MAX_POOLS = 1024
"""More than this, and all is measured anew: a worker that always calls itself something else must not fill the
memory."""
BOUNDS = (1 / 20, 20.0)
"""The measured rate may leave the prior by these factors: counters can lie."""


class PrefillRate:
    """One pool's estimate."""

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._tokens = 0.0
        self._seconds = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """`tokens` prompt tokens were computed in `seconds` of prefill."""
        if MIN_TOKENS <= tokens <= MAX_TOKENS and seconds > 0:
            self._tokens = self._tokens * MEMORY + tokens
            self._seconds = self._seconds * MEMORY + seconds

    @property
    def tokens_per_s(self) -> float:
        """The estimate; never 0."""
        rate = (self._tokens + PRIOR_TOKENS) / (self._seconds + PRIOR_TOKENS / self._prior)
        low, high = BOUNDS
        return min(max(rate, self._prior * low), self._prior * high)


class PrefillRates:
    """All pools, by what their workers serve."""

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._pools: dict[str, PrefillRate] = {}

    def learn(self, pool: str, before: Load | None, after: Load) -> float:
        """What happened between two looks at one worker of `pool`. Returns the pool's rate in tokens per second."""
        rate = self._pools.get(pool)
        if rate is None:
            if len(self._pools) >= MAX_POOLS:
                self._pools.clear()
            rate = self._pools[pool] = PrefillRate(self._prior)
        if before is not None and len(before.ranks) == len(after.ranks):
            tokens = after.prefill_tokens_sum - before.prefill_tokens_sum
            rate.learn(tokens, after.prefill_seconds_sum - before.prefill_seconds_sum)
        return rate.tokens_per_s
