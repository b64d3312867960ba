"""This router's sessions as the others know them, and theirs as it knows them: one book over all routers.

Each router keeps all sessions of the fleet, and tells the others the state of each that it changes. Whoever changes a
session last is believed, but of a session whose turn runs here nobody else says where it is. Room is given once: who
takes room asks first whether another router has taken any since (`reserve`). What must not be broken: of a router that
has died, and of all while nothing is heard of them, no turn counts as running and no room as claimed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from router.fleet.worker import Worker
from router.prefix.index import HASH_BYTES
from router.sessions.admission.admission import SessionAdmission
from router.sessions.admission.model_demand import ModelDemand
from router.sessions.memory.footprint import Footprint
from router.sessions.memory.session import Ending, Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.hints import Hint
from router.sessions.recognition.turn import Turn
from router.sessions.shared.batch import (
    ANSWERING,
    BROKEN,
    ENDING,
    LEAVING,
    MAX_NAME,
    MAX_STATES,
    OUTSIDE,
    RETURNED,
    Batch,
    NameNumbers,
    SessionState,
    unpack,
)
from router.sessions.shared.telling import Crowd, Taken, batch_of, crowd_of, state_of, taking

LIFE_S = 3.0
"""A router that was not heard of for so long is taken for dead. Each tells something at least once a second."""
TRIES = 4
"""Times that room is asked for, while other routers take some at the same time or Redis does not answer in time.
Danger: with one try, a stall of a busy machine lets in sessions that nobody has counted."""
RECENT = 2_000
"""Sessions outside that are told to a router that asks. They are those used last."""
NOTICED, NOTICE_S = 8, 0.01
"""At most this many of the turns that wait are looked at again within this many seconds. Danger: with all, 64 long
prompts of new sessions stop the event loop for 25 ms whenever another router tells something."""
TELL_ALL_EVERY_S = 1.0
"""This router tells all of its sessions at most once in this many seconds."""
MAX_HOLDERS = 16_384
"""Working sets that are kept; other routers cannot make it keep more."""
ENDINGS = tuple(Ending)
FULL_BYTES = 1 << 16
"""A batch with so many bytes of anchors takes no further state."""


class _Other:
    """Another router, as last heard."""

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.waits: list[tuple[ModelDemand, int, int]] = []
        self.claims: list[tuple[WorkingSet, object]] = []


class FleetBook:
    """The book, without a transport. `BookExchange` sets `take`, `wake` and `read`.

    `take` tells the others a batch, unless room was taken meanwhile. `wake` says that there is something to tell."""

    def __init__(
        self, admission: SessionAdmission, name: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`name`: this router's, for as long as it lives."""
        self.admission = admission
        """This router's admission, which knows all sessions."""
        self.shared = False
        """Are there other routers?"""
        self.asks = True
        """Something was missed, and the others must be asked to tell all."""
        self.wake: Callable[[], None] = _nothing
        self.take: Callable[[bytes], Awaitable[Taken]] = _nobody_answers
        self.read: Callable[[], asyncio.Future[Any] | None] = _nothing
        """Asks what the others have told; None if that is known already, or Redis cannot be asked."""
        self.outcomes = dict.fromkeys(Taken, 0)
        """Number of times that each came of room that was asked for."""
        self._name = name
        self._clock = clock
        self._dirty: dict[Session, None] = {}
        self._others: dict[str, _Other] = {}
        self._said: Crowd = ([], [])
        self._asked = False
        self._told_all_at = -TELL_ALL_EVERY_S
        self._noticed, self._notices_at = 0, 0.0
        admission.on_change = self._changed

    @property
    def routers(self) -> int:
        """Other routers that were heard of lately."""
        return len(self._others)

    def _changed(self, session: Session) -> None:
        session.router = ""
        if self.shared and len(session.group) <= MAX_NAME:
            self._dirty[session] = None
            self.wake()

    def refresh(self, turn: Turn | None) -> asyncio.Future[Any] | None:
        """Ask the others about a turn whose session this router does not know. The future is shared: wait for it, do
        not await it."""
        return self.read() if self.shared and turn is not None and turn.session is None else None

    def recognise(self, turn: Turn | None) -> None:
        """Look again whose turn it is, because other routers may have told something. End leases that are over, because
        another session may have the place by now."""
        if turn is None:
            return
        session = turn.session
        if session is not None:
            now = self._clock()
            late = session.place is not None and not session.busy(now) and session.kept_until <= now
            if late and self.shared:
                self.admission.end_leases()
            return
        if turn.heard != self.admission.heard:
            self.admission.recognise(turn)

    def notice(self, turn: Turn) -> None:
        """As `recognise`, for one of many turns that wait: only a few of them are looked at now, the others at a later
        call."""
        if turn.session is not None or turn.heard == self.admission.heard:
            self.recognise(turn)
            return
        now = self._clock()
        if now - self._notices_at >= NOTICE_S:
            self._notices_at, self._noticed = now, 0
        self._noticed += 1
        if self._noticed <= NOTICED:
            self.recognise(turn)

    async def reserve(self, turn: Turn | None, worker: Worker) -> bool:
        """May the turn go to `worker`, by what all routers know? If so, it must begin before anything else is
        awaited."""
        if turn is None or not self.shared or not self.admission.takes_room(turn, worker, 1 + self.routers):
            return True
        session = turn.session
        if session is None:
            session = Session(turn.group, turn.session_id)
            turn.session_id = session.id
        with self._promised(turn, worker):
            goes = False
            try:
                goes = await self._taken(turn, session, worker)
            finally:
                if not goes:
                    self._changed(session)  # the others may have been told that it has begun
        return goes

    async def _taken(self, turn: Turn, session: Session, worker: Worker) -> bool:
        for _ in range(TRIES):
            self._said = crowd_of(self.admission)
            taken = await self.take(taking(turn, session, worker, self._said, self._clock()))
            self.outcomes[taken] += 1
            if taken is Taken.YES:
                return True
            if not self.admission.fits(turn, worker):
                return False
        return True

    @contextmanager
    def _promised(self, turn: Turn, worker: Worker) -> Iterator[None]:
        """Inside the block, the room that the turn takes at this worker is not given to others."""
        claims = self.admission.place_of(worker.holder).claims
        new = turn not in claims
        claims.setdefault(turn, turn.wanted.tokens)
        try:
            yield
        finally:
            if new:
                claims.pop(turn, None)

    def write(self, anyway: bool = False) -> bytes | None:
        """A batch of what the others do not know yet; None if there is nothing. `anyway`: write one all the same, so
        that they hear that this router lives."""
        names, size, now = NameNumbers(), 0, self._clock()
        states: list[SessionState] = []
        while self._dirty and len(states) < MAX_STATES and size < FULL_BYTES:
            session = next(iter(self._dirty))
            del self._dirty[session]
            state = state_of(session, self.admission.demand(session.group).pauses(session), names, now)
            states.append(state)
            size += len(state.anchors)
        crowd = crowd_of(self.admission)
        if not states and not anyway and not self.asks and crowd == self._said:
            return None
        self._said = crowd
        return batch_of(states, crowd, names, self.asks)

    @property
    def crowded(self) -> bool:
        """Does any turn wait for room, in any router?"""
        return any(demand.crowded for _, demand in self.admission.demands())

    @property
    def unsaid(self) -> bool:
        """Is there more to tell?"""
        return bool(self._dirty)

    def hear(self, router: str, raw: bytes, age_s: float) -> None:
        """What another router has told `age_s` ago. Raises BadBatchError."""
        batch = unpack(raw)
        other = self._others.get(router)
        if other is None:
            other = self._others[router] = _Other()
            self.shared = True
            self.asks |= not batch.asks  # it was silent: what it had told is forgotten
        other.heard_at = self._clock()
        self._hear_crowd(other, batch)
        written_at = other.heard_at - age_s
        for state in batch.states:
            self._hear_state(router, state, batch.names, written_at)
        self.admission.heard += bool(batch.states)
        self._asked |= batch.asks

    def _hear_crowd(self, other: _Other, batch: Batch) -> None:
        admission, names = self.admission, batch.names
        self._drop_crowd(other)
        for waits in batch.waits:
            demand = admission.demand(names[waits.model])
            demand.waiting_elsewhere += waits.turns
            demand.waiting_elsewhere_tokens += waits.tokens
            other.waits.append((demand, waits.turns, waits.tokens))
        for claim in batch.claims:
            place = admission.sets.get(names[claim.worker])
            if place is not None:
                mark = object()
                place.claims[mark] = claim.tokens
                other.claims.append((place, mark))

    def _drop_crowd(self, other: _Other) -> None:
        for demand, turns, tokens in other.waits:
            demand.waiting_elsewhere -= turns
            demand.waiting_elsewhere_tokens -= tokens
        for place, mark in other.claims:
            place.claims.pop(mark, None)
        self.admission.changes += bool(other.claims)
        other.waits, other.claims = [], []

    def _hear_state(self, router: str, state: SessionState, names: list[str], written_at: float) -> None:
        admission, model = self.admission, names[state.model]
        book, demand = admission.book, admission.demand(model)
        session = book.get(state.id)
        if session is None:
            if state.worker == OUTSIDE and not state.leaf:
                return
            session = Session(model, state.id)
            book.begin(session)
        idle, returned = not session.running, bool(state.flags & RETURNED)
        began = _count(session, router, state.running) > 0
        if session.turns and (began or returned) and demand.pauses(session):
            demand.returned(session, written_at - session.ended_at if idle else 0.0)
        if began or not (returned or demand.pauses(session)):
            demand.began(session, written_at)
        if session.runs_here or session in self._dirty:
            self._hear_of_own(session, state, names)
            return
        session.router = router
        session.turns, session.prompt_tokens = state.turns, state.prompt_tokens
        session.ended_at = written_at - state.ended_ms / 1000
        session.answering = bool(state.flags & ANSWERING)
        session.broken = bool(state.flags & BROKEN)
        session.start = state.start or session.start
        session.ending = ENDINGS[state.flags // ENDING]
        if state.leaf:
            for forgotten in book.note_leaf(session, state.leaf):
                self._drop(forgotten)
        self._hear_place(session, state, names, written_at)
        if not (session.turns and state.leaf) and not session.running and session.place is None:
            self._drop(session)
        elif state.family_id and session.family is None:
            admission.families.join(session, Hint(state.own_id, state.family_id), written_at)

    def _hear_of_own(self, session: Session, state: SessionState, names: list[str]) -> None:
        """A state of a session whose turn runs here. Another router may only ask that it leave at the end of its
        turn."""
        place: WorkingSet | None = session.place
        if place is not None and state.worker != OUTSIDE and names[state.worker] == place.holder:
            session.leaving = bool(state.flags & LEAVING)
        elif not state.running:
            self._changed(session)  # it is where its turn runs

    def _hear_place(self, session: Session, state: SessionState, names: list[str], written_at: float) -> None:
        admission = self.admission
        holder = names[state.worker] if state.worker != OUTSIDE else ""
        if not holder or (holder not in admission.sets and len(admission.sets) >= MAX_HOLDERS):
            self._leave(session)
            return
        place = admission.place_of(holder)
        if session.place is not place:
            self._leave(session)
            place.enter(session, written_at - state.since_ms / 1000)
        anchors = session.anchors[: state.known_anchors]
        if len(anchors) == state.known_anchors:
            new = state.anchors
            anchors += [new[at : at + HASH_BYTES] for at in range(0, len(new), HASH_BYTES)]
        else:
            anchors = []  # a state was missed: all counts as its own
        tokens = max(state.held_tokens, len(anchors) * state.anchor_tokens)
        place.hold(session, Footprint(anchors, state.anchor_tokens, tokens))
        session.told_anchors = anchors
        session.leaving = bool(state.flags & LEAVING)
        session.kept_until = written_at + state.keeps_ms / 1000
        if not session.running:
            place.idle_until(session.kept_until)

    def _leave(self, session: Session) -> None:
        if session.place is not None:
            self.admission.changes += 1
            session.place.leave(session)

    def _drop(self, session: Session) -> None:
        self._leave(session)
        self.admission.families.forget(session)
        self.admission.book.forget(session)

    def beat(self) -> None:
        """Forget silent routers, and tell all to a router that has asked. Call often."""
        now = self._clock()
        for router, other in list(self._others.items()):
            if now - other.heard_at > LIFE_S:
                self._forget(router)
        if self._asked and now - self._told_all_at >= TELL_ALL_EVERY_S:
            self.tell_all()

    def tell_all(self) -> None:
        """Tell the others again of all sessions that this router was the last to change."""
        self._asked, self._told_all_at = False, self._clock()
        self.admission.end_leases()
        inside = [session for place in self.admission.sets.values() for session in place.sessions]
        outside = [each for each in islice(self.admission.book.latest(), RECENT) if each.place is None]
        for session in (*outside, *inside):
            if not session.router:
                session.told_anchors = []
                self._changed(session)

    def lose(self) -> None:
        """Forget what the others had told. Their sessions are remembered, as outside."""
        for place in self.admission.sets.values():
            for session in [each for each in place.sessions if each.router]:
                self._leave(session)
        for router in list(self._others):
            self._forget(router)
        self.admission.heard += 1

    def _forget(self, router: str) -> None:
        """It is dead, or as good as that: its turns do not run any more. Its sessions keep their leases."""
        now, admission = self._clock(), self.admission
        self._drop_crowd(self._others.pop(router))
        heir = all(self._name < other for other in self._others)  # the one that tells of them from now on
        for session in admission.book.known():
            if session.runs and router in session.runs:
                _count(session, router, 0)
                session.ended_at = now
                admission.free_relatives(session, now)
                if not session.turns and not session.running:
                    self._drop(session)
                elif session.place is not None and not session.running:
                    session.kept_until = now + admission.demand(session.group).lease_s(session.ending)
                    session.place.idle_until(session.kept_until)
            if heir and session.router == router:
                session.router = ""
        admission.heard += 1


def _count(session: Session, router: str, running: int) -> int:
    """So many of its turns run through this router. Returns how many more than before."""
    runs = session.runs or {}
    more = running - runs.get(router, 0)
    if more:
        session.running += more
        runs = {**runs, router: running}
        session.runs = {each: count for each, count in runs.items() if count} or None
    return more


def _nothing() -> None:
    """There is nobody to tell."""


async def _nobody_answers(_: bytes) -> Taken:
    return Taken.UNSURE
