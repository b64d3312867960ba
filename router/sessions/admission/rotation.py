"""Makes room for turns that have waited for long enough: the sessions that are inside for longest leave."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from router.fleet.worker import Worker
from router.sessions.admission.inside import Inside
from router.sessions.admission.model_demand import ModelDemand
from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.turn import Turn

OVER = 0.05
"""Share of the memory by which sessions inside may outgrow it before one of them leaves."""


class Rotation(Inside, ABC):
    """The part of admission that has sessions leave for others."""

    def __init__(self, extra_tokens: int, clock: Callable[[], float]) -> None:
        super().__init__(extra_tokens, clock)
        self.rotated = 0
        """Number of sessions that made room for one that had waited."""
        self.outgrown = 0
        """Number of idle sessions that left because another one at their worker had grown."""

    @abstractmethod
    def claim_after_s(self, group: str, workers: Sequence[Worker], streams: bool = True) -> float:
        """Seconds after which room is made for a turn that waits."""

    def claim(self, turn: Turn, workers: Sequence[Worker]) -> None:
        """Have the sessions that are inside for longest make room for the turn, if it has waited for long enough.

        A session leaves between two of its turns. So call this again and again: the first session that is idle
        leaves."""
        now = self._clock()
        worker = next((w for w in workers if turn.claim is not None and self.sets.get(w.holder) is turn.claim), None)
        if worker is None:
            self._unclaim(turn)  # its worker takes no requests any more
            if now - turn.arrived_at < self.claim_after_s(turn.group, workers, turn.streams):
                return
            worker = self._claimed(turn, workers, now)
            if worker is None:
                return
            turn.claim = self.sets[worker.holder]
            turn.claim.claims[turn] = turn.claim.needs(turn.wanted)
        self._make_room(turn, self.sets[worker.holder], worker, now)

    def _claimed(self, turn: Turn, workers: Sequence[Worker], now: float) -> Worker | None:
        """The worker with the session that is inside for longest, among workers whose room is not promised to
        others."""
        found: tuple[float, Worker] | None = None
        for worker in workers:
            place, limit = self.sets.get(worker.holder), self._limit(worker)
            if place is None or (place.claims and sum(place.claims.values()) + place.needs(turn.wanted) > limit):
                continue
            since = min((session.since for session in self._leavers(worker, now)), default=now)
            if since < now and (found is None or since < found[0]):
                found = since, worker
        return found[1] if found is not None else None

    def _unclaim(self, turn: Turn) -> None:
        if turn.claim is not None:
            self.changes += 1
            turn.claim.claims.pop(turn, None)
            turn.claim = None

    def _leavers(self, worker: Worker, now: float) -> list[Session]:
        """The sessions that may make room: those inside for longer than their load took, and for one answered turn at
        least, unless the client has hung up."""
        place = self.sets.get(worker.holder)
        if place is None:
            return []
        rate = worker.prefill_rate
        return [s for s in place.sessions if (s.turns or not s.running) and now - s.since > s.held_tokens / rate]

    def _make_room(self, turn: Turn, place: WorkingSet, worker: Worker, now: float) -> None:
        """Have sessions leave until what is claimed there, up to this turn's claim, fits.

        The idle ones that are inside for longest leave now. If that is not enough, busy ones are marked to leave at the
        end of their turns, unless another session becomes idle before."""
        room = self._limit(worker) - place.promised_before(turn) - place.claims[turn]
        leavers = sorted(self._leavers(worker, now), key=_since)
        for session in leavers:
            if place.tokens > room and not session.busy(now):
                self.rotated += 1
                self._leave(session)
        staying = place.tokens
        for session in leavers:
            if session.busy(now):
                if session.leaving != (staying > room):
                    session.leaving = not session.leaving
                    self.on_change(session)
                staying -= session.held_tokens if staying > room else 0

    def _relieve(self, place: WorkingSet, worker: Worker, demand: ModelDemand) -> None:
        """Have sessions leave while those inside need more than the memory, the one that is inside for longest
        first."""
        limit = self._capacity(worker) * self.share * (place.margin.share + OVER)
        while limit and place.tokens > limit and len(place.sessions) > 1:
            idle = next(place.idle(self._clock()), None)
            if idle is None:
                first = next(iter(place.sessions))
                if demand.holds_back and not first.leaving:
                    first.leaving = True
                    self.on_change(first)
                return
            self.outgrown += 1
            self._leave(idle)


def _since(session: Session) -> float:
    return session.since
