"""`round_robin`: every worker in turn, whatever it holds and however loaded it is.

    cost = number of the worker's last turn, 0 if it never had one

The worker that was unserved for longest is next. The turn is remembered per worker, not as one index: a shared index
modulo the number of candidates skips workers when one joins, leaves or is left out of a retry, and when two models
alternate it sends each to the same worker for ever. Source: none; it is the default of most balancers.

Danger: a conversation's turns go around the fleet, so each worker computes its prompt anew; and long requests pile up
where their turn happens to fall.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

REMEMBERED_WORKERS = 4096
"""Workers whose last turn is remembered. Fleets churn, and ids of removed workers must not pile up; when it is full the
round begins anew, which costs one uneven round. Danger: below the size of the fleet every round begins anew."""


class RoundRobin:
    """Turns, counted over all workers: the lowest is the longest unserved."""

    scope: ClassVar[Literal["few", "all"]] = "all"
    reasons: ClassVar[tuple[str, ...]] = ("turn",)

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turn = 0
        self._last_turn: dict[str, int] = {}

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """Each worker's last turn, counted in requests that this router has dispatched."""
        last_turn = self._last_turn
        return [last_turn.get(candidate.worker, 0) for candidate in candidates]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        """The worker unserved for longest. The first round's order is random, so that routers do not march in step."""
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        chosen = candidates[index]
        if len(self._last_turn) >= REMEMBERED_WORKERS and chosen.worker not in self._last_turn:
            self._last_turn.clear()
        self._turn += 1
        self._last_turn[chosen.worker] = self._turn
        return Selection(chosen, "turn", costs[index])
