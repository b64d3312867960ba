"""What a closed loop of sessions came to: the figures of `warmroute-lab pressure`, of real requests.

All turns count, first ones too: a router that lets new sessions wait would else hide their times.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.laboratory.pressure.figures import Figures, figures
from loadtests.laboratory.replay.record import NAN, Record
from loadtests.laboratory.replay.summary import Slo
from loadtests.laboratory.simulate.outcomes import Outcome

SLO = Slo(ttft_s=1.0)
CUT = "cut at the end"
"""The error of a request that had no answer yet when the run was cut."""


class Users:
    """Whose session it is: a user of a closed loop begins a session when the one before has ended."""

    def __init__(self) -> None:
        self._idle: list[int] = []
        self._last: set[tuple[str, int]] = set()
        self.count = 0
        self.of: dict[str, int] = {}
        """By session."""

    def began(self, session: str) -> None:
        self.of[session] = self._idle.pop() if self._idle else self.count
        self.count = max(self.count, self.of[session] + 1)

    def ended(self, session: str, turn: int) -> None:
        """With this turn."""
        self._last.add((session, turn))
        self._idle.append(self.of[session])

    def is_last(self, session: str, turn: int) -> bool:
        return (session, turn) in self._last


@dataclass(frozen=True, slots=True)
class Loop:
    """The figures, and the share of good answers among all turns that were asked in the measured span."""

    figures: Figures
    good: float


def looped(records: Sequence[Record], users: Users, span: tuple[float, float]) -> Loop:
    """Of all records of a run whose measured span was from the one time to the other."""
    measured = [record for record in records if _asked_in(record, span)]
    outcomes = [_outcome(record, users, span) for record in records]
    good = sum(map(SLO.met_by, measured)) / len(measured) if measured else math.nan
    return Loop(figures(outcomes, users.count, span), good)


def unanswered(waiting: Mapping[tuple[str, int], float], cut_s: float) -> list[Record]:
    """Of the requests, by session and turn with the time each was asked, that the cut found without an answer."""
    return [Record(session, turn, asked_s, NAN, cut_s, CUT) for (session, turn), asked_s in waiting.items()]


def _outcome(record: Record, users: Users, span: tuple[float, float]) -> Outcome:
    """A request that was cut has no end, and is no error: it counts with its wait so far."""
    cut = record.error == CUT
    return Outcome(
        arrived=record.asked_s,
        prompt_tokens=max(0, record.usage.prompt_tokens),
        answer_tokens=max(0, record.usage.answer_tokens),
        ideal_tokens=0,
        least_s=0.0,
        measured=cut or _asked_in(record, span),
        user=users.of[record.session],
        last=not record.error and users.is_last(record.session, record.turn),
        cached_tokens=max(0, record.usage.cached_tokens),
        first_byte=record.ended_s if cut else record.first_s,
        ended=NAN if record.error else record.ended_s,
        error="" if cut else record.error,
    )


def _asked_in(record: Record, span: tuple[float, float]) -> bool:
    return span[0] <= record.asked_s < span[1]
