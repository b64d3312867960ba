"""Who may use which worker's KV memory: as many sessions as fit, each until others have waited for long enough.

A turn of a session that is inside goes at once. Others go where there is room, and wait where there is none. What must
not be broken: room is given once (whoever begins is counted before the next one is asked), and a place that was taken
is given back on every path.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from router.fleet.worker import Worker
from router.prefix.index import HASH_BYTES
from router.sessions.admission.model_demand import ModelDemand
from router.sessions.admission.rotation import Rotation
from router.sessions.memory.footprint import footprint_of, leaf_of
from router.sessions.memory.session import Ending, Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.book import SessionBook
from router.sessions.recognition.families import Families, lent, waited_for, yielding
from router.sessions.recognition.hints import NO_HINT, Hint
from router.sessions.recognition.turn import RETURN_S, UNSTREAMED_SHARE, Turn
from tokenizer_cache.prompt import Prompt

LOADING_SHARE = 0.25
"""Share of the workers' time that may go into loading sessions that have waited for less than the bound. The same share
of the bound is left for the end of another session's turn, and for the load."""
MANY = 0.5
"""Where more turns wait than this many for each session under way, that share is less, in proportion. Danger: without
it, a crowd's loads cost more turns than they let in sooner; with less, the longest waits are longer where few wait."""
LEAST_TOKENS = 1024
"""A shorter prompt goes at once and is not counted: it needs little memory. A session is known from its first longer
prompt on."""
MAX_GROUPS = 1024
"""Models whose demand is remembered."""
PLENTY = 4
"""Room for this many sessions like it, for each router, is given without asking the others. Danger: with less, what
they have taken in the last tenth of a second may be the same room."""


class SessionAdmission(Rotation):
    """One router's admission of sessions.

    `bound_s`: seconds that a turn waits at most before the session that is inside for longest makes room for it; 0 for
    no admission at all. `extra_tokens`: KV tokens that each worker keeps in its host's memory."""

    def __init__(self, bound_s: float, extra_tokens: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(extra_tokens, clock)
        self.bound_s = bound_s
        self.heard = 0
        """Number of times that another router has told of its sessions."""
        self.book = SessionBook()
        self.families = Families()
        self.ids_dropped = 0
        """Requests whose client named its session by something that is no id."""
        self.refused = 0
        """Number of new sessions that were refused."""
        self._demands: dict[str, ModelDemand] = {}

    def demand(self, group: str) -> ModelDemand:
        """What the sessions of this model ask of their workers."""
        demand = self._demands.get(group)
        if demand is None:
            if len(self._demands) >= MAX_GROUPS:
                del self._demands[next(iter(self._demands))]
            demand = self._demands[group] = ModelDemand()
        return demand

    def demands(self) -> list[tuple[str, ModelDemand]]:
        """The demand of each model, by name."""
        return list(self._demands.items())

    def holds_back(self, group: str) -> bool:
        """Do sessions of this model wait where they do not fit?"""
        return bool(self.bound_s) and self.demand(group).holds_back

    def arrive(
        self, group: str, prompts: Mapping[str, Prompt], streams: bool = True, hint: Hint = NO_HINT
    ) -> Turn | None:
        """The turn that a request is; None for a prompt that needs little memory.

        Changes nothing, unless the client says in such a prompt that its session ends."""
        if not self.bound_s:
            return None
        self.ids_dropped += hint.dropped
        prompt = next(iter(prompts.values()), None)
        if prompt is None or prompt.tokens < LEAST_TOKENS or not prompt.chain:
            if hint.ends:
                self._end(hint)
            return None
        turn = Turn(self, group, prompt, self._clock(), hint)
        turn.streams = streams
        self.recognise(turn)
        before = turn.session.anchors if turn.session is not None and not turn.broken else ()
        turn.wanted = footprint_of(prompt, before, int(self.demand(group).answer_tokens))
        return turn

    def recognise(self, turn: Turn) -> None:
        """Find the session whose turn it is, by what is known now."""
        found, hint, turn.heard = self.book.find(turn.prompt), turn.hint, self.heard
        if hint is NO_HINT:
            turn.found(found, None)
        else:
            turn.found(self.families.find(found, hint, turn.prompt), self.families.of(hint))

    def workers_for(self, turn: Turn | None, workers: Sequence[Worker]) -> Sequence[Worker]:
        """The workers among `workers` to which the turn may go now, in their order; none if it must wait."""
        if turn is None:
            return workers
        now, demand = self._clock(), self.demand(turn.group)
        if demand.is_due(now):
            demand.judge(workers, now, self._capacity_of(workers))
        if not demand.holds_back:
            return workers
        if demand.crowded and (home := turn.home) is not None:
            stays = [worker for worker in workers if self.sets.get(worker.holder) is home]
            if stays:
                return stays
        return [worker for worker in workers if self._has_room(turn, worker, now)]

    def has_room(self, turn: Turn, workers: Iterable[Worker]) -> bool:
        """Has any of these workers room for a turn that waits?"""
        now = self._clock()
        return not self.holds_back(turn.group) or any(self._has_room(turn, worker, now) for worker in workers)

    def takes_room(self, turn: Turn, worker: Worker, routers: int) -> bool:
        """Does the turn take room at this worker that another of `routers` routers might give away at the same
        moment?"""
        place, capacity = self.sets.get(worker.holder), self._capacity(worker)
        if not capacity or not self.holds_back(turn.group):
            return False
        if place is None:
            return turn.wanted.tokens * routers * PLENTY > capacity
        return turn.home is not place and place.tokens + turn.wanted.tokens * routers * PLENTY > self._limit(worker)

    def fits(self, turn: Turn, worker: Worker) -> bool:
        """Has this worker room for the turn, whether or not the turn would wait for that?"""
        return self._has_room(turn, worker, self._clock())

    def pinned(self, turn: Turn | None) -> bool:
        """Does the turn go to its session's worker at once, while others wait for room? Danger: while admission stands
        aside nobody makes room for those that waited before, so sessions inside that passed them by would hold the
        workers for ever."""
        if turn is None or turn.home is None:
            return False
        return self.holds_back(turn.group) and self.demand(turn.group).crowded

    def wait(self, turn: Turn) -> None:
        """The turn waits for room from now on. May be called again."""
        demand = self.demand(turn.group)
        turn.waited = True
        demand.wait(turn)
        self._came(turn, demand)

    def go(self, turn: Turn) -> None:
        """The turn does not wait any more, whatever became of it. May be called again."""
        self.demand(turn.group).go(turn)
        self._unclaim(turn)

    def _came(self, turn: Turn, demand: ModelDemand) -> None:
        """Learn, once, that the pause before this turn is over."""
        session = turn.session
        if not turn.came and session is not None and session.turns:
            demand.returned(session, 0.0 if session.running else turn.arrived_at - session.ended_at)
            self.on_change(session)
        turn.came = True

    def too_many(self, turn: Turn, workers: Sequence[Worker], part: float = 1.0) -> bool:
        """Would a new session wait for longer than the bound, because one round of loads takes that long already?
        `part`: what its client has of those that wait, over its fair share, 1 at most. Danger: with 1 for all, one
        client's crowd has every other client's new sessions refused."""
        if turn.known or not workers:
            return False
        return part * self.round_s(turn.group, workers) > self.bound_s

    def round_s(self, group: str, workers: Sequence[Worker]) -> float:
        """Seconds in which `workers` compute all that waits for room."""
        demand = self.demand(group)
        tokens = demand.waiting_tokens + demand.waiting_elsewhere_tokens
        return tokens / max(1.0, sum(worker.prefill_rate for worker in workers))

    def claim_after_s(self, group: str, workers: Sequence[Worker], streams: bool = True) -> float:
        """Seconds after which room is made for a turn that waits.

        They are always more than a round of loads takes, or loads would take all of the workers' time."""
        round_s, rounds = self.round_s(group, workers), max(1.0, self.demand(group).crowd / MANY) / LOADING_SHARE
        bound_s = self.bound_s * (1.0 if streams else UNSTREAMED_SHARE)
        return min(rounds * round_s, (1 - LOADING_SHARE) * bound_s + round_s)

    def begin(self, turn: Turn, worker: Worker) -> None:
        """The turn goes to `worker`, and its session is inside there from now on."""
        if turn.waited or turn.claim is not None:
            self.go(turn)
        now, demand = self._clock(), self.demand(turn.group)
        session = turn.session
        if session is not None and session.running and not session.answering:
            turn.parent, session = session, None  # several turns came that go on from one: the first one is it
        if session is None:
            session = turn.session = Session(turn.group, turn.session_id)
            self.book.begin(session)
            parent = turn.parent
            if parent is not None and not parent.running:
                self._leave(parent)  # its place is the branch's now
        if turn.hint.family and session.family is None:
            self.families.join(session, turn.hint, now)
        self._came(turn, demand)
        place = self.place_of(worker.holder)
        turn.kept = session.place is place and bool(session.turns) and not turn.broken
        turn.expected_tokens = session.prompt_tokens if turn.kept else 0
        turn.began_at = now
        if session.place is not place:
            self._leave(session)
            self._yield(turn, place, worker)
            place.enter(session, now)
        place.hold(session, turn.wanted)
        session.broken = turn.broken
        if session.family_id:
            session.start = turn.prompt.chain[:HASH_BYTES]
        session.running += 1
        session.answering = False
        demand.began(session, now)
        self.on_change(session)
        self._relieve(place, worker, demand)

    def answers(self, turn: Turn, prompt: Prompt) -> None:
        """The turn's answer begins: a client that has all of it may send the next turn before `left` is called."""
        session = turn.session
        if session is not None:
            session.answering = True
            self._note(turn, session, prompt)
            self.on_change(session)

    def left(self, turn: Turn, prompt: Prompt | None, answered: bool, gone: bool = False) -> None:
        """The turn's attempt has ended.

        `prompt`: what is known of it by now, or None. `gone`: its client has hung up, and is likely to send the same
        turn again."""
        session, now = turn.session, self._clock()
        if session is None:
            return
        session.running -= 1
        session.ended_at = now
        self.on_change(session)
        place: WorkingSet | None = session.place
        if answered and prompt is not None:
            session.turns += 1
            session.prompt_tokens = prompt.tokens
            if prompt is not turn.noted or not self.book.knows(session):
                self._note(turn, session, prompt)
            if place is not None and prompt is not turn.prompt and not session.running:
                longer = max(0, turn.wanted.tokens - prompt.tokens)
                place.hold(session, footprint_of(prompt, answer_tokens=longer))
        elif gone and not session.turns and prompt is not None and leaf_of(prompt):
            self._note(turn, session, prompt)
        self._ended(turn, session, now, gone)

    def _note(self, turn: Turn, session: Session, prompt: Prompt) -> None:
        """The session is known by this prompt from now on."""
        turn.noted = prompt
        for forgotten in self.book.note(session, prompt):
            self._forget(forgotten)

    def _ended(self, turn: Turn, session: Session, now: float, gone: bool) -> None:
        demand = self.demand(turn.group)
        ends = turn.hint.ends and turn.hint.own == session.own_id  # not by whoever sends the same prompt
        if not session.running and (ends or not (session.turns or self.book.knows(session))):
            self._forget(session)
            self.on_change(session)
        elif session.leaving and not session.running:
            self.rotated += 1
            self._leave(session)
        elif session.place is not None:
            self._keep(session, demand, now, RETURN_S if gone else 0.0)
        self.free_relatives(session, now)

    def free_relatives(self, session: Session, now: float) -> None:
        """The session's relatives wait for its turn no more: each has a lease from now on, or leaves."""
        for relative in () if session.family is None else waited_for(session, now):
            if relative.leaving:
                self.rotated += 1
                self._leave(relative)
            else:
                self._keep(relative, self.demand(relative.group), now)
                self.on_change(relative)

    def learn(self, turn: Turn, calls: bool, completion_tokens: int | None, cached_tokens: int | None) -> None:
        """Learn from the answer: how it ended, its length, and how much of the prompt was really cached."""
        session, demand = turn.session, self.demand(turn.group)
        if session is None or not session.turns:
            return
        session.ending = Ending.CALL if calls else Ending.ANSWER if session.turns > 1 else Ending.FIRST_ANSWER
        if completion_tokens:
            demand.answered(completion_tokens)
        place: WorkingSet | None = session.place
        if turn.kept:
            new_tokens = max(0, session.prompt_tokens - turn.expected_tokens)
            demand.learn_turn(session.prompt_tokens, new_tokens, session.ended_at - turn.began_at)
            if place is not None and cached_tokens is not None and self.holds_back(turn.group):
                place.margin.kept(turn.expected_tokens, cached_tokens, bool(demand.waiting))
        if place is not None and not session.running:
            self._keep(session, demand, session.ended_at)
        self.on_change(session)

    def _has_room(self, turn: Turn, worker: Worker, now: float) -> bool:
        """Has this worker room for the turn now?

        A session that is larger than what the margin leaves has room where it is alone. One that is larger than the
        whole memory goes at once: waiting would not help it, and the engine says so."""
        place = self.sets.get(worker.holder)
        if place is None:
            return True
        if now >= place.soonest_end:
            self._end_leases(place, now)
        capacity, wanted = self._capacity(worker), turn.wanted.tokens
        taken = place.tokens + (place.promised_before(turn) if place.claims else 0)
        spare = capacity * self.share * place.margin.share - taken
        if wanted <= spare or not taken or not capacity or wanted > capacity:
            return True
        if turn.home is place:
            return True
        return place.needs(turn.wanted) <= spare + (lent(turn, place) if turn.family is not None else 0)

    def _yield(self, turn: Turn, place: WorkingSet, worker: Worker) -> None:
        """Have relatives of the turn's session leave, as far as it needs their room."""
        for member in yielding(turn, place) if turn.family is not None else ():
            if place.tokens + place.needs(turn.wanted) > self._limit(worker):
                self._leave(member)

    def _end(self, hint: Hint) -> None:
        """Forget the sessions that a client says are over."""
        for session in self.families.named(hint):
            if not session.running:
                self._forget(session)
                self.on_change(session)

    def _forget(self, session: Session) -> None:
        """The session does not come again, as far as is known."""
        self._leave(session)
        self.families.forget(session)
        self.book.forget(session)

    def _keep(self, session: Session, demand: ModelDemand, now: float, least_s: float = 0.0) -> None:
        """Keep an idle session's memory until its lease ends, and for `least_s` seconds at least."""
        lease_s = demand.lease_s(session.ending)
        session.kept_until = now + (lease_s if lease_s > least_s else least_s)
        session.place.idle_until(session.kept_until)
