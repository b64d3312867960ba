"""`power_of_two`: of two workers drawn at random, the one with fewer requests in flight.

    cost = in_flight / warmth      compared between two distinct random candidates only

Two choices bring the longest queue from about log n / log log n down to log log n, and a stale view cannot herd every
router onto one worker. Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", TPDS 2001.

Danger: it knows nothing of prefixes, and a request counts as one, whether its prompt has ten tokens or 100,000.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest


class PowerOfTwo:
    """The less loaded of two random candidates."""

    scope: ClassVar[Literal["few", "all"]] = "all"
    reasons: ClassVar[tuple[str, ...]] = ("less_loaded",)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Requests in flight. The selection need not have the lowest: only two candidates are looked at."""
        return [c.in_flight / c.warmth for c in candidates]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The less loaded of two, in constant time."""
        draw = self._rng.random
        first = int(draw() * len(candidates))
        second = int(draw() * (len(candidates) - 1))
        second += second >= first  # skips `first`: the two are distinct, and every pair is as likely
        pair = candidates[first], candidates[second % len(candidates)]  # a lone candidate meets itself
        chosen = pair[lowest([c.in_flight / c.warmth for c in pair], self._rng, EXACT)]
        return Selection(chosen, "less_loaded", chosen.in_flight)
