"""`random`: any worker, each as likely as the next. The arm that every comparison needs."""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection


class RandomChoice:
    """cost = 0 for every candidate."""

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
