"""What the sessions of one model ask of their workers' KV memory.

Two things follow from it: for how long memory is kept after a turn, and whether it is worth while that sessions which
do not fit wait.
"""

import math
from collections.abc import Collection

from router.fleet.worker import Worker
from router.sessions.admission.pauses import Pauses
from router.sessions.admission.worth import WorkerDemand, worth_waiting
from router.sessions.memory.session import Ending, Session
from router.sessions.recognition.book import MAX_SESSIONS
from router.sessions.recognition.turn import Turn

JUDGED_EVERY_S = 1.0
"""Seconds between two judgements whether sessions that do not fit wait."""
MEMORY = 100
"""The running means go back over about this many turns."""
STAY_QUANTILE, STAY_STEP, LEAST_STAY_S = 0.2, 0.1, 0.01
"""A turn's time in the engine is that of the shortest fifth of the turns. Danger: with the mean, which others' loads
make several times as long, sessions seem to need their places for longer than they do, and waiting seems worthless."""
LEAST_TURNS = 20
"""With fewer turns too little is known, and sessions that do not fit wait."""
LIVE_PAUSES = 4.0
LIVE_LEAST_S, LIVE_MOST_S = 10.0, 600.0
"""A session counts as under way until it was idle for this many mean pauses, but for 10 s at least and 600 s at
most."""
USUAL_ANSWER_TOKENS = 256
"""Assumed for answers until some are known."""


class ModelDemand:
    """The demand of one model's sessions."""

    def __init__(self) -> None:
        self.tstar_s = 0.0
        """T* in seconds, the mean of the workers; 0 where their memory is unknown."""
        self.holds_back = True
        """Sessions that do not fit wait."""
        self.waiting: dict[Turn, None] = {}
        """Turns that wait for room in this router, the first to come first."""
        self.waiting_tokens = 0
        """Tokens that these turns need."""
        self.waiting_elsewhere = 0
        """Number of turns that wait for room in other routers."""
        self.waiting_elsewhere_tokens = 0
        """Tokens that those turns need."""
        self.answer_tokens = float(USUAL_ANSWER_TOKENS)
        """Mean length of an answer."""
        self.prompt_tokens = 0.0
        """Mean length of a prompt whose session kept its place."""
        self.new_tokens = 0.0
        """Mean number of tokens that such a turn adds to its session."""
        self.stay_s = 0.0
        """Seconds that a turn takes in the engine where no other turn slows it down."""
        self._turns = 0
        self._pauses = {
            Ending.FIRST_ANSWER: Pauses(4, math.inf),
            Ending.ANSWER: Pauses(2, math.inf),
            Ending.CALL: Pauses(8, 2.0),
        }
        self._leases = {Ending.FIRST_ANSWER: 0.0, Ending.ANSWER: 0.0, Ending.CALL: 2.0}
        self._live: dict[Session, float] = {}
        """Sessions under way of which no turn waits for room, and when each began its last turn. As many as are
        remembered: who hangs up on ever new ones, 500 a second, has 300,000 of them in the ten minutes after which they
        are given up, and each is looked at once a second."""
        self._judged_at = -math.inf

    def lease_s(self, ending: Ending) -> float:
        """Seconds for which memory is kept after a turn that ended so."""
        return self._leases[ending]

    @property
    def crowded(self) -> bool:
        """Does any turn wait for room, in any router?"""
        return bool(self.waiting or self.waiting_elsewhere)

    @property
    def crowd(self) -> float:
        """Turns that wait for room, in all routers, for each session that is under way."""
        return (len(self.waiting) + self.waiting_elsewhere) / max(1, len(self._live))

    def wait(self, turn: Turn) -> None:
        """The turn waits for room from now on. May be called again."""
        if turn not in self.waiting:
            self.waiting[turn] = None
            self.waiting_tokens += turn.wanted.tokens

    def go(self, turn: Turn) -> None:
        """The turn does not wait any more. May be called again."""
        if turn in self.waiting:
            del self.waiting[turn]
            self.waiting_tokens -= turn.wanted.tokens

    def began(self, session: Session, now: float) -> None:
        """A turn goes to a worker: the session is under way."""
        self._live.pop(session, None)
        self._live[session] = now
        if len(self._live) > MAX_SESSIONS:
            del self._live[next(iter(self._live))]

    def pauses(self, session: Session) -> bool:
        """Is the session under way, and has its next turn not come yet?"""
        return session in self._live

    def returned(self, session: Session, pause_s: float) -> None:
        """The session's next turn has come, `pause_s` seconds after the turn before.

        A session that returns after its first answer is likely to return again, and as soon. So its pause counts for
        later answers too, until enough of those are known."""
        in_time = self._live.pop(session, None) is not None
        found, later = self._pauses[session.ending], self._pauses[Ending.ANSWER]
        alike = session.ending is Ending.FIRST_ANSWER and later.turns < LEAST_TURNS
        for pauses in (found, later) if alike else (found,):
            if in_time:
                pauses.began()
            pauses.returned(pause_s)

    def learn_turn(self, prompt_tokens: int, new_tokens: int, stay_s: float) -> None:
        """Learn from a turn whose session kept its place: its length, what it added, and its time in the engine."""
        self._turns += 1
        part = 1 / min(self._turns, MEMORY)
        self.prompt_tokens += (prompt_tokens - self.prompt_tokens) * part
        self.new_tokens += (new_tokens - self.new_tokens) * part
        self._stayed(stay_s)

    def _stayed(self, stay_s: float) -> None:
        """Move `stay_s` to a low quantile of the stays: other turns' loads lengthen most of them."""
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
        """May the demand be judged again?"""
        return now - self._judged_at >= JUDGED_EVERY_S

    def judge(self, workers: Collection[Worker], now: float, capacity: int) -> None:
        """Set leases and `holds_back` anew, if that was not done lately. `capacity`: KV tokens of all the workers, 0
        when unknown."""
        if not self.is_due(now) or not workers:
            return
        self._judged_at = now
        rate = sum(worker.prefill_rate for worker in workers)
        self.tstar_s = capacity / rate
        self._prune(now)
        for ending, pauses in self._pauses.items():
            self._leases[ending] = pauses.lease_s(self.tstar_s)
        if self._turns >= LEAST_TURNS and capacity:
            demand = self._of_one_worker(len(workers), rate / len(workers), capacity)
            self.holds_back = worth_waiting(demand, self.holds_back)

    def _of_one_worker(self, workers: int, rate: float, capacity: int) -> WorkerDemand:
        share = kept = pause = 0.0
        turns = sum(pauses.turns for pauses in self._pauses.values())
        for ending, pauses in self._pauses.items():
            part = pauses.turns / turns
            in_time, kept_s = pauses.kept(self._leases[ending])
            share += part * in_time
            kept += part * kept_s
            pause += part * pauses.mean_s
        size = self.prompt_tokens + self.answer_tokens
        return WorkerDemand(
            sessions=(len(self._live) + len(self.waiting) + self.waiting_elsewhere) / workers,
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
