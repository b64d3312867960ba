"""What the sessions of one model are like, and what follows from it: their leases, and whether it is worth while that
those wait that do not fit."""

import math
from collections.abc import Collection

from router.fleet.worker import Worker
from router.sessions.admission.pauses import Pauses
from router.sessions.admission.worth import Demand, worth_waiting
from router.sessions.memory.session import Ending, Session
from router.sessions.recognition.turn import Turn

AGAIN_S = 1.0
"""It is judged anew after this many seconds."""
MEMORY = 100
"""Turns of which means are kept."""
STAY_QUANTILE, STAY_STEP, LEAST_STAY_S = 0.2, 0.1, 0.01
"""A turn's time in the engine is that of the shortest fifth of the turns. Danger: with the mean, which others' loads
make several times as long, sessions seem to need their places for longer than they do, and waiting seems worthless."""
LEAST_TURNS = 20
"""Before this many turns nothing is known: those wait that do not fit."""
LIVE_PAUSES = 4.0
LIVE_LEAST_S, LIVE_MOST_S = 10.0, 600.0
"""A session is under way that was idle for no longer than this many mean pauses, within these bounds."""
USUAL_ANSWER_TOKENS = 256


class Climate:
    """One model's."""

    def __init__(self) -> None:
        self.tstar_s = 0.0
        """In the mean of the workers; 0 where their memory is unknown."""
        self.waits = True
        """Those wait that do not fit."""
        self.waiting: dict[Turn, None] = {}
        """Turns that wait for room."""
        self.waiting_tokens = 0
        """Of their prompts."""
        self.elsewhere = 0
        """Turns that wait for room in other routers."""
        self.elsewhere_tokens = 0
        self.answer_tokens = float(USUAL_ANSWER_TOKENS)
        self.prompt_tokens = 0.0
        self.new_tokens = 0.0
        self.stay_s = 0.0
        self._turns = 0
        self._pauses = {
            Ending.FIRST_ANSWER: Pauses(4, math.inf),
            Ending.ANSWER: Pauses(2, math.inf),
            Ending.CALL: Pauses(8, 2.0),
        }
        self._leases = {Ending.FIRST_ANSWER: 0.0, Ending.ANSWER: 0.0, Ending.CALL: 2.0}
        self._live: dict[Session, float] = {}
        """Sessions under way of which no turn waits for room, and when each began its last turn."""
        self._judged_at = -math.inf

    def lease_s(self, ending: Ending) -> float:
        """For how long memory is kept after a turn that ended so."""
        return self._leases[ending]

    @property
    def crowded(self) -> bool:
        """Does any turn wait for room, in any router?"""
        return bool(self.waiting or self.elsewhere)

    @property
    def crowd(self) -> float:
        """Turns that wait for room, in all routers, for each session that is under way."""
        return (len(self.waiting) + self.elsewhere) / max(1, len(self._live))

    def wait(self, turn: Turn) -> None:
        """It waits for room from now on. May be called again."""
        if turn not in self.waiting:
            self.waiting[turn] = None
            self.waiting_tokens += turn.wanted.tokens

    def go(self, turn: Turn) -> None:
        """It does not wait any more. May be called again."""
        if turn in self.waiting:
            del self.waiting[turn]
            self.waiting_tokens -= turn.wanted.tokens

    def began(self, session: Session, now: float) -> None:
        """A turn goes to a worker: the session is under way."""
        self._live.pop(session, None)
        self._live[session] = now

    def pauses(self, session: Session) -> bool:
        """Is it under way, and has its next turn not come yet?"""
        return session in self._live

    def returned(self, session: Session, pause_s: float) -> None:
        """A session's next turn has come. Until now it said nothing of how many return. Who returns after a first
        answer is likely to do so again, and as soon: that counts until later answers are known by themselves."""
        in_time = self._live.pop(session, None) is not None
        found, later = self._pauses[session.ending], self._pauses[Ending.ANSWER]
        alike = session.ending is Ending.FIRST_ANSWER and later.turns < LEAST_TURNS
        for pauses in (found, later) if alike else (found,):
            if in_time:
                pauses.began()
            pauses.returned(pause_s)

    def turn(self, prompt_tokens: int, new_tokens: int, stay_s: float) -> None:
        """A turn of a session that kept its place: its lengths, and its time in the engine."""
        self._turns += 1
        part = 1 / min(self._turns, MEMORY)
        self.prompt_tokens += (prompt_tokens - self.prompt_tokens) * part
        self.new_tokens += (new_tokens - self.new_tokens) * part
        self._stayed(stay_s)

    def _stayed(self, stay_s: float) -> None:
        """Turns that others' loads have slowed down say nothing of how long a turn takes: a short stay is taken."""
        if not self.stay_s:
            self.stay_s = max(stay_s, LEAST_STAY_S)
        elif stay_s < self.stay_s:
            self.stay_s *= 1 - STAY_STEP * (1 - STAY_QUANTILE)
        else:
            self.stay_s *= 1 + STAY_STEP * STAY_QUANTILE

    def answered(self, completion_tokens: int) -> None:
        """An answer had this many tokens."""
        self.answer_tokens += (completion_tokens - self.answer_tokens) / MEMORY

    def is_due(self, now: float) -> bool:
        """May it be judged again?"""
        return now - self._judged_at >= AGAIN_S

    def judge(self, workers: Collection[Worker], now: float, capacity: int) -> None:
        """Look at it anew, if that was not done lately. `capacity`: KV tokens of all the workers, 0 when unknown."""
        if not self.is_due(now) or not workers:
            return
        self._judged_at = now
        rate = sum(worker.prefill_rate for worker in workers)
        self.tstar_s = capacity / rate
        self._prune(now)
        for ending, pauses in self._pauses.items():
            self._leases[ending] = pauses.lease_s(self.tstar_s)
        if self._turns >= LEAST_TURNS and capacity:
            self.waits = worth_waiting(self._demand(len(workers), rate / len(workers), capacity), self.waits)

    def _demand(self, workers: int, rate: float, capacity: int) -> Demand:
        share = kept = pause = 0.0
        turns = sum(pauses.turns for pauses in self._pauses.values())
        for ending, pauses in self._pauses.items():
            part = pauses.turns / turns
            in_time, kept_s = pauses.kept(self._leases[ending])
            share += part * in_time
            kept += part * kept_s
            pause += part * pauses.mean_s
        size = self.prompt_tokens + self.answer_tokens
        return Demand(
            sessions=(len(self._live) + len(self.waiting) + self.elsewhere) / workers,
            places=max(1.0, capacity / workers / max(1.0, size)),
            pause_s=pause,
            stay_s=self.stay_s,
            load_s=max(1e-6, self.prompt_tokens / rate),
            new_s=max(1e-6, self.new_tokens / rate),
            kept_s=kept,
            late=1 - share,
        )

    def _prune(self, now: float) -> None:
        returned = [pauses.mean_s for pauses in self._pauses.values()]
        horizon = min(max(LIVE_PAUSES * max(returned), LIVE_LEAST_S), LIVE_MOST_S)
        for session in list(self._live):
            if session.running:
                continue
            if now - session.ended_at > horizon:
                del self._live[session]
                if session.turns:
                    self._pauses[session.ending].began()
