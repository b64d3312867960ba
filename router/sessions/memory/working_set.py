"""The memory of one worker, as the sessions inside it need it together."""

import math
from collections.abc import Iterator

from router.sessions.memory.footprint import Footprint
from router.sessions.memory.margin import Margin
from router.sessions.memory.session import Session


class WorkingSet:
    """The sessions inside one worker. They enter, grow and leave; what two of them share counts once."""

    __slots__ = (
        "_anchors", "_own_tokens", "anchor_tokens", "claims", "holder", "margin", "sessions", "soonest_end", "tokens",
    )  # fmt: skip

    def __init__(self, holder: str = "") -> None:
        self.holder = holder
        self._anchors: dict[bytes, int] = {}
        """How many of the sessions inside have each anchor."""
        self.anchor_tokens = 0
        self._own_tokens = 0
        self.tokens = 0
        """KV tokens that the sessions inside need together. Read for each worker at each decision."""
        self.soonest_end = math.inf
        """No idle session's lease ends before this. `ended_leases` need not be called earlier."""
        self.sessions: dict[Session, None] = {}
        """The sessions inside, in the order in which they came."""
        self.claims: dict[object, int] = {}
        """Tokens of room that are made for each turn that has waited for long. The first claim is served first."""
        self.margin = Margin()

    def promised_before(self, turn: object) -> int:
        """Tokens that are claimed before this turn's own claim; all of them if it has none."""
        tokens = 0
        for other, claimed in self.claims.items():
            if other is turn:
                break
            tokens += claimed
        return tokens

    def needs(self, wanted: Footprint) -> int:
        """Tokens that a prompt would need here beyond what is shared with the sessions inside."""
        return wanted.tokens - self._shared(wanted.anchors) * wanted.anchor_tokens

    def _shared(self, anchors: list[bytes]) -> int:
        """How many of a prompt's anchors are here. Found by bisection: where one anchor is here, all before it are."""
        here = self._anchors
        if not anchors or anchors[0] not in here:
            return 0
        low, high = 1, len(anchors)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if anchors[middle] in here else (low, middle)
        return low

    def enter(self, session: Session, now: float) -> None:
        """The session is inside from now on, and holds nothing so far."""
        session.place, session.since, session.leaving = self, now, False
        session.anchors, session.told_anchors, session.held_tokens = [], [], 0
        self.sessions[session] = None

    def hold(self, session: Session, wanted: Footprint) -> None:
        """Set what a session inside needs now. Usually that has grown."""
        self.anchor_tokens = wanted.anchor_tokens
        had, new = session.anchors, wanted.anchors
        if new[: len(had)] == had:
            if len(new) > len(had):
                self._add(new[len(had) :])
        else:
            self._drop(had)
            self._add(new)
        self._own_tokens += _own(wanted.tokens, new, wanted) - _own(session.held_tokens, had, wanted)
        session.anchors, session.held_tokens = new, wanted.tokens
        self._sum()

    def leave(self, session: Session) -> None:
        """The session's memory is not kept any more."""
        self._drop(session.anchors)
        self._own_tokens -= session.held_tokens - len(session.anchors) * self.anchor_tokens
        self._sum()
        del self.sessions[session]
        session.anchors, session.told_anchors, session.held_tokens = [], [], 0
        session.place, session.leaving = None, False

    def idle_until(self, when: float) -> None:
        """A session inside is idle, and its lease ends at `when`."""
        self.soonest_end = min(self.soonest_end, when)

    def ended_leases(self, now: float) -> list[Session]:
        """The sessions inside whose lease is over."""
        idle = [session for session in self.sessions if not session.running]
        ends = [max(session.kept_until, session.waits_until) for session in idle]
        self.soonest_end = min((end for end in ends if end > now), default=math.inf)
        return [session for session, end in zip(idle, ends, strict=True) if end <= now]

    def idle(self, now: float) -> Iterator[Session]:
        """The sessions inside that are not busy, in the order in which they came."""
        return (session for session in self.sessions if not session.busy(now))

    def _sum(self) -> None:
        self.tokens = len(self._anchors) * self.anchor_tokens + self._own_tokens

    def _add(self, anchors: list[bytes]) -> None:
        here = self._anchors
        for anchor in anchors:
            here[anchor] = here.get(anchor, 0) + 1

    def _drop(self, anchors: list[bytes]) -> None:
        here = self._anchors
        for anchor in anchors:
            if here[anchor] == 1:
                del here[anchor]
            else:
                here[anchor] -= 1


def _own(tokens: int, anchors: list[bytes], wanted: Footprint) -> int:
    """Tokens behind the last anchor, which no other session shares."""
    return tokens - len(anchors) * wanted.anchor_tokens
