"""How fast each worker prefills: as workers of its kind do, times what its own first tokens say beside theirs.

A kind is a model and a format. Its rate begins as the configured one, moves to what its engines' own sums say, and then
to what is fitted to first tokens. Sums alone are too low: requests prefilled side by side overlap in them, and every
fixed cost poses as rate. Of one worker there are too few first tokens to fit a line, and workers that are equally fast
must not seem to differ: so one factor is learned of each, slowly.
"""

import math

from router.engines import Load
from router.fleet.prefill_fit import BOUNDS, MAX_S, ODD, PrefillFit

PRIOR_TOKENS = 65_536
"""Weight of the expected rate beside the sums, in tokens: after about this many the sums dominate."""
MEMORY = 0.98
"""Weight that older measurements keep at each new one."""
MIN_TOKENS = 1024
"""Intervals with fewer computed tokens are left out: they say more about fixed costs than about the rate."""
MAX_TOKENS = 1 << 25
"""No worker computes more between two looks: one lie would outweigh all that is measured after it."""
MAX_SUM_S = 131_072.0
"""Nor do its prompts' prefills together take more seconds than this, though 256 that overlap count 256 times. Danger:
one lie of 10^15 would have the honest workers of its kind believed to be slow for 1,300 looks more."""
MAX_KINDS = 1024
"""More than this, and all is measured anew: a worker that always calls itself something else must not fill the
memory."""
LIKE_ITS_KIND = 8.0
"""Weight, in prompts, of the belief that a worker is as fast as its kind. Danger: less, and chance draws prompts away
from the workers that hold them."""


class PrefillSums:
    """What the engines of one kind sum up themselves."""

    __slots__ = ("_seconds", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """`tokens` prompt tokens were computed in `seconds` of prefill."""
        if MIN_TOKENS <= tokens <= MAX_TOKENS and 0 < seconds <= MAX_SUM_S:
            self._tokens = self._tokens * MEMORY + tokens
            self._seconds = self._seconds * MEMORY + seconds

    def rate(self, prior: float) -> float:
        """Tokens per second, where `prior` is expected; never 0."""
        rate = (self._tokens + PRIOR_TOKENS) / (self._seconds + PRIOR_TOKENS / prior)
        low, high = BOUNDS
        return min(max(rate, prior * low), prior * high)


class PrefillPace:
    """How much slower one worker prefills than its kind."""

    __slots__ = ("_logs", "_weight", "factor")

    def __init__(self) -> None:
        self._logs = self._weight = 0.0
        self.factor = 1.0
        """How many times as long it takes as its kind."""

    def took(self, seconds: float, expected_s: float) -> None:
        """Take in the seconds of one prompt's prefill, and those that its kind is expected to take."""
        log = math.log(seconds / expected_s)
        most = math.log(ODD)
        odd = min(max(log, -most), most)
        self._logs = self._logs * MEMORY + odd
        self._weight = self._weight * MEMORY + 1
        self.factor = math.exp(self._logs / (self._weight + LIKE_ITS_KIND))


class _Kind:
    """What is known of one kind of workers."""

    def __init__(self, prior: float) -> None:
        self.sums = PrefillSums()
        self.fit = PrefillFit(prior)


class PrefillRates:
    """The prefill rates of all kinds, by what their workers serve."""

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._kinds: dict[str, _Kind] = {}

    def scraped(self, kind: str, pace: PrefillPace, before: Load | None, after: Load) -> float:
        """Take in what happened between two looks at the worker with this pace. Returns its rate in tokens per
        second."""
        known = self._kind(kind)
        if before is not None and len(before.ranks) == len(after.ranks):
            tokens = after.prefill_tokens_sum - before.prefill_tokens_sum
            known.sums.learn(tokens, after.prefill_seconds_sum - before.prefill_seconds_sum)
        known.fit.expect(known.sums.rate(self._prior))
        return known.fit.rate / pace.factor

    def timed(self, kind: str, pace: PrefillPace, tokens: int, cached: int, seconds: float) -> float:
        """The first token of a prompt that had this worker to itself came after so many seconds: `tokens` of it were
        computed behind `cached` ones. Returns the worker's rate in tokens per second."""
        known = self._kind(kind)
        if tokens > 0 and 0 < seconds <= MAX_S:
            if known.fit.sure:
                pace.took(seconds, known.fit.expected_s(tokens, cached))
            known.fit.took(tokens, cached, seconds / pace.factor)
        return known.fit.rate / pace.factor

    def _kind(self, kind: str) -> _Kind:
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            found = self._kinds[kind] = _Kind(self._prior)
        return found
