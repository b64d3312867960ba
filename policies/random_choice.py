"""`random`: any worker, each as likely as the next.

    cost = 0

The arm that every comparison needs: what is not better than a draw is worth nothing. It needs no view of the fleet, so
none can be stale. Source: none; it is what balancers do that know nothing.

Danger: of n workers that each hold other prompts, it finds the holder once in n times; and some worker always has far
more requests than the mean.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection


class RandomChoice:
    """No candidate is better than another."""

    scope: ClassVar[Literal["few", "all"]] = "all"
    reasons: ClassVar[tuple[str, ...]] = ("random",)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Zeros."""
        return [0.0] * len(candidates)

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """A uniform draw, in constant time (no tie is sought among a thousand equal costs)."""
        return Selection(candidates[int(self._rng.random() * len(candidates))], "random", 0.0)
