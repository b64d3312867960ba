"""Which sessions are inside at which worker, and how many tokens they may need there.

What must not be broken: a session that leaves is counted as a change, and the other routers hear of it.
"""

from collections.abc import Callable, Collection

from router.fleet.worker import Worker
from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet


class Inside:
    """The working sets of all workers. `extra_tokens`: KV tokens that each worker keeps in its host's memory."""

    def __init__(self, extra_tokens: int, clock: Callable[[], float]) -> None:
        self.share = 1.0
        """Share of each worker's memory that this router may give: below 1 while it hears nothing of the others."""
        self.on_change: Callable[[Session], None] = lambda session: None
        """Called with a session that the other routers must hear of."""
        self.sets: dict[str, WorkingSet] = {}
        """The working sets by holder: a restarted engine is another holder, and has kept nothing."""
        self.changes = 0
        """Number of times that room may have come free."""
        self.expired = 0
        """Number of sessions whose lease ended before they came back."""
        self._extra_tokens = extra_tokens
        self._clock = clock

    def forget(self, holder: str) -> None:
        """This holder has lost what it held, or is gone."""
        self.changes += 1
        place = self.sets.pop(holder, None)
        if place is not None:
            for session in list(place.sessions):
                place.leave(session)

    def room(self, worker: Worker) -> int:
        """KV tokens that sessions may need at this worker; 0 when unknown."""
        return int(self._limit(worker))

    def place_of(self, holder: str) -> WorkingSet:
        """The working set of this holder; a new one where there is none."""
        place = self.sets.get(holder)
        if place is None:
            place = self.sets[holder] = WorkingSet(holder)
        return place

    def set_of(self, worker: Worker) -> WorkingSet | None:
        """The working set of this worker; None while no session was there."""
        return self.sets.get(worker.holder)

    def _limit(self, worker: Worker) -> float:
        place = self.sets.get(worker.holder)
        return self._capacity(worker) * self.share * (place.margin.share if place is not None else 1.0)

    def _capacity(self, worker: Worker) -> int:
        pool = worker.pool
        return pool.kept_tokens + self._extra_tokens if pool.caches and pool.kept_tokens else 0

    def _capacity_of(self, workers: Collection[Worker]) -> int:
        return sum(self._capacity(worker) for worker in workers)

    def end_leases(self) -> None:
        """End the leases that are over, also at workers that no turn asks for."""
        now = self._clock()
        for place in self.sets.values():
            if now >= place.soonest_end:
                self._end_leases(place, now)

    def _end_leases(self, place: WorkingSet, now: float) -> None:
        for session in place.ended_leases(now):
            self.expired += 1
            self.changes += 1
            place.leave(session)  # the other routers end it by themselves

    def _leave(self, session: Session) -> None:
        if session.place is not None:
            self.changes += 1
            session.place.leave(session)
            self.on_change(session)
