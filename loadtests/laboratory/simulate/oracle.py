"""The limit to compare with: it knows that sessions are sessions, and needs no index and no tokens.

It pins each session to the worker that has the fewest live ones, and is given unlimited KV memory by the run. It is no
upper bound under overload: it never moves a session.
"""

import random
from collections.abc import Sequence
from typing import ClassVar, Literal

from policies.api import Candidate, RequestFacts, Selection
from policies.ties import EXACT, lowest

NAME = "oracle"


class Oracle:
    """A policy that knows when sessions end, which no real policy can know."""

    scope: ClassVar[Literal["few", "all"]] = "all"
    reasons: ClassVar[tuple[str, ...]] = ("pinned", "placed")

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._homes: dict[bytes, str] = {}
        self._live: dict[str, int] = {}

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        """0 for the session's worker; else sessions there, and what is in flight to tell equal ones apart."""
        home = self._homes.get(request.session)
        if any(candidate.worker == home for candidate in candidates):
            return [float(candidate.worker != home) for candidate in candidates]
        return [
            self._live.get(candidate.worker, 0) + candidate.in_flight / (1 + candidate.in_flight)
            for candidate in candidates
        ]

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        costs = self.costs(request, candidates)
        index = lowest(costs, self._rng, EXACT)
        worker = candidates[index].worker
        if self._homes.get(request.session) == worker:
            return Selection(candidates[index], "pinned", costs[index])
        self.ended(request.session)
        self._homes[request.session] = worker
        self._live[worker] = self._live.get(worker, 0) + 1
        return Selection(candidates[index], "placed", costs[index])

    def ended(self, session: bytes) -> None:
        """The session's last answer is complete."""
        home = self._homes.pop(session, None)
        if home is not None:
            self._live[home] -= 1
