"""How long a prefill takes: seconds = fixed part + tokens / rate + pairs x attention, fitted to first tokens.

A pair is a token that is computed and one that it looks back to: with a long cached beginning that is most of the work.
Only prompts that had their worker to themselves until the first token are fitted, by least squares of the relative
error. What must not be broken: one odd time moves little (it counts as at most three times what was expected, and as at
least a third), no part is below 0, and the rate stays within a factor of the expected one.
"""

from collections.abc import Sequence

MEMORY = 0.99
"""Weight that older times keep at each new one: about a hundred count."""
ODD = 3.0
"""Factor by which a time may differ from the expected one. Danger: less, and workers that have changed are believed
late; more, and one collection of garbage counts like ten prompts."""
SURE = 8
"""Times after which what is odd is known."""
FIT_EVERY = 8
"""Once it is sure, it is fitted anew at each eighth time: that takes 10 us, which a request need not pay. Danger: more,
and a worker that has changed is known late."""
PRIOR_WEIGHT = 2.0
"""Weight of each of two imagined times: of an empty prompt, and of one of `PRIOR_TOKENS`. They are forgotten as if they
had come first."""
EMPTY_S = 0.1
"""Seconds of the imagined empty prompt that would not surprise."""
LEAST_WEIGHT = 0.1
"""Weight that the two imagined times keep for good: all prompts may be of one length."""
PRIOR_TOKENS = 4096
"""Tokens of the other imagined prompt."""
NO_PAIRS = (1e8, 1.0, 1e-3)
"""Pairs, seconds and weight of a third imagined time: it keeps the attention small where nothing shows it."""
GRAIN_S = 0.01
"""Seconds that no time is measured more exactly than: they are added where times are compared."""
MAX_TOKENS = 1 << 21
"""A prompt with more tokens is not fitted."""
MAX_S = 600.0
"""A time of more seconds is not fitted."""
BOUNDS = (1 / 20, 20.0)
"""The rate may leave the expected one by these factors: times can lie."""
PARTS = ((0, 1, 2), (0, 1), (1, 2), (1,))
"""Which of the three parts are fitted: the first of these choices in which none is below 0."""


class PrefillFit:
    """The fit over all workers of a kind. Pure: no clock."""

    __slots__ = ("_count", "_pairs", "_prior_weight", "_products", "_times", "_tokens", "prior", "rate", "terms")

    def __init__(self, prior: float) -> None:
        """`prior`: the expected rate, in tokens per second."""
        self.prior = self.rate = prior
        """`rate`: tokens per second beyond the fixed part, over the prompts of late, attention included."""
        self.terms: Sequence[float] = (0.0, 1 / prior, 0.0)
        """Seconds of any prompt, of a token, and of a pair."""
        self._count = 0
        self._prior_weight = PRIOR_WEIGHT
        self._tokens = self._pairs = 0.0
        self._products = [[0.0] * 3 for _ in range(3)]
        self._times = [0.0] * 3

    @property
    def sure(self) -> bool:
        """Are enough times known to tell an odd one?"""
        return self._count >= SURE

    def expect(self, prior: float) -> None:
        """Take another expected rate, in tokens per second, and fit again."""
        if prior != self.prior:
            self.prior = prior
            self._fit()

    def expected_s(self, tokens: int, cached: int) -> float:
        """Seconds in which so many tokens are computed behind so many that are cached."""
        fixed, token, pair = self.terms
        return fixed + token * tokens + pair * pairs_of(tokens, cached)

    def took(self, tokens: int, cached: int, seconds: float) -> None:
        """So many tokens behind so many cached ones were computed in so many seconds, and nothing else was."""
        if not (0 < tokens <= MAX_TOKENS and 0 <= cached <= MAX_TOKENS and 0 < seconds <= MAX_S):
            return
        expected = seconds
        if self.sure:
            expected = self.expected_s(tokens, cached)
            seconds = min(max(seconds, expected / ODD), expected * ODD + GRAIN_S)
        self._count += 1
        self._prior_weight = max(LEAST_WEIGHT, self._prior_weight * MEMORY)
        self._products = [[kept * MEMORY for kept in row] for row in self._products]
        self._times = [kept * MEMORY for kept in self._times]
        pairs = pairs_of(tokens, cached)
        self._tokens = self._tokens * MEMORY + tokens
        self._pairs = self._pairs * MEMORY + pairs
        _add(self._products, self._times, (1.0, tokens, pairs), seconds, _weight(max(seconds, expected)))
        if self._count <= SURE or self._count % FIT_EVERY == 0:
            self._fit()

    def _fit(self) -> None:
        products, times = [list(row) for row in self._products], list(self._times)
        products[0][0] += self._prior_weight * _weight(EMPTY_S)
        prior_s = PRIOR_TOKENS / self.prior
        _add(products, times, (1.0, PRIOR_TOKENS, 0.0), prior_s, self._prior_weight * _weight(prior_s))
        pairs, seconds, weight = NO_PAIRS
        products[2][2] += weight * (pairs / seconds) ** 2
        self.terms = next((found for parts in PARTS if (found := _solved(products, times, parts))), self.terms)
        _, token, pair = self.terms
        tokens, pairs = self._tokens + PRIOR_TOKENS, self._pairs
        low, high = BOUNDS
        self.rate = min(max(tokens / (token * tokens + pair * pairs), self.prior * low), self.prior * high)


def pairs_of(tokens: int, cached: int) -> float:
    """Pairs of a computed token and one before it, cached or computed too."""
    return tokens * (cached + tokens / 2)


def _weight(seconds: float) -> float:
    """The weight of a time in the least squares: what counts is its relative error."""
    return 1 / (seconds + GRAIN_S) ** 2


def _add(products: list[list[float]], times: list[float], row: Sequence[float], seconds: float, weight: float) -> None:
    """One more line of the least squares."""
    for i, one in enumerate(row):
        times[i] += weight * one * seconds
        for j, other in enumerate(row):
            products[i][j] += weight * one * other


def _solved(products: list[list[float]], times: list[float], parts: Sequence[int]) -> Sequence[float] | None:
    """The terms, if these parts are fitted and no other; None where one of them is below 0, or tokens take no time."""
    scale = [products[part][part] ** 0.5 or 1.0 for part in parts]
    rows = [
        [products[i][j] / (a * b) for j, b in zip(parts, scale, strict=True)] + [times[i] / a]
        for i, a in zip(parts, scale, strict=True)
    ]
    for at, row in enumerate(rows):  # the matrix is symmetric and positive: no pivots are sought
        if row[at] < 1e-9:
            return None
        for other in range(len(rows)):
            if other != at:
                factor = rows[other][at] / row[at]
                rows[other] = [left - factor * right for left, right in zip(rows[other], row, strict=True)]
    found = [0.0, 0.0, 0.0]
    for at, (part, size) in enumerate(zip(parts, scale, strict=True)):
        found[part] = rows[at][-1] / rows[at][at] / size
    return found if min(found) >= 0 and found[1] > 0 else None
