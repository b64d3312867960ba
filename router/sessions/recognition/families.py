"""Sessions that clients say belong together: subagents, and what comes after a compaction.

A family has the room that its members have inside. One of them may always run: the idle ones make room for it. While
one runs, those keep their memory whose last answer called a tool, as a parent waits for its child. An id that many
sessions have at once names no family: some fleets send one for all.
"""

from router.prefix.index import HASH_BYTES
from router.sessions.memory.session import AWAY_S, Ending, Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.book import Found
from router.sessions.recognition.hints import Hint
from router.sessions.recognition.turn import Turn
from tokenizer_cache.prompt import Prompt

MAX_MEMBERS = 16
"""Of a family at one time. Danger: with more, strangers under one id push each other's memory out."""
MAX_IDS = 2 * MAX_MEMBERS
"""By which a family is found. Danger: without a bound, who sends one known id with ever new ones fills the memory."""


class Family:
    """Mutable. `Families` alone writes it."""

    __slots__ = ("ids", "members", "name", "wide")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.ids: set[bytes] = set()
        """By which it is found: its name, and its members' own."""
        self.members: dict[Session, None] = {}
        self.wide = False
        """Too many had the id at once: it says nothing."""

    @property
    def runs(self) -> bool:
        """A turn of any of its members runs."""
        return not self.wide and any(member.running for member in self.members)


class Families:
    """All that are known to this router, by the hashes of their ids."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, Family] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, hint: Hint) -> Family | None:
        """The family of which a request is, by its id, or by the id of the one that it descends from."""
        if not hint.family:
            return None
        family = self._by_id.get(hint.family) or self._by_id.get(hint.own)
        return None if family is None or family.wide else family

    def find(self, found: Found, hint: Hint, prompt: Prompt) -> Found:
        """Whose prompt it is, where `found` is what its chain says. A chain that breaks goes on as the same session if
        one alone has its id, nothing of that runs, and both begin alike; not a second time before it has gone on by its
        chain, or two chains under one id would take turns as one session."""
        family = None if found.session is not None or not hint.own else self.of(hint)
        if family is None:
            return found
        alike = [member for member in family.members if member.own_id == hint.own]
        if len(alike) != 1 or found.parent not in (None, alike[0]):
            return found
        (session,) = alike
        goes_on = (
            not session.running
            and not session.broken
            and session.turns > 1
            and session.start == prompt.chain[:HASH_BYTES]
        )
        return Found(session, broken=True) if goes_on else found

    def join(self, session: Session, hint: Hint, now: float) -> None:
        """A session that is new, or of which another router tells."""
        if not hint.family:
            return
        session.own_id, session.family_id = hint.own, hint.family
        family = self._by_id.get(hint.family) or self._by_id.get(hint.own) or Family(hint.family)
        if len(family.members) >= MAX_MEMBERS:
            for member in [one for one in family.members if _is_away(one, now)]:
                self.forget(member)
        family.wide = family.wide or len(family.members) >= MAX_MEMBERS
        if family.wide:
            return
        for name in {hint.family, hint.own} - {b""}:
            if len(family.ids) < MAX_IDS and self._by_id.setdefault(name, family) is family:
                family.ids.add(name)
        family.members[session] = None
        session.family = family

    def forget(self, session: Session) -> None:
        """It is no member any more. Safe for one that is none."""
        family, session.family = session.family, None
        if family is None:
            return
        del family.members[session]
        own = session.own_id
        if not family.members:
            for name in family.ids:
                del self._by_id[name]
        elif own in family.ids and own != family.name and all(member.own_id != own for member in family.members):
            family.ids.discard(own)
            del self._by_id[own]

    def named(self, hint: Hint) -> list[Session]:
        """Those that have exactly this id."""
        family = self.of(hint) if hint.own else None
        return [] if family is None else [member for member in family.members if member.own_id == hint.own]


def yielding(turn: Turn, place: WorkingSet) -> list[Session]:
    """Relatives of a turn's session that make room for it at this place: all are idle, or none."""
    family: Family | None = turn.family
    if family is None or family.wide or family.runs:
        return []
    return [member for member in family.members if member is not turn.session and member.place is place]


def lent(turn: Turn, place: WorkingSet) -> int:
    """Tokens that they give up, less what the turn shares with each of them."""
    needs = place.needs(turn.wanted)
    shared = turn.wanted.tokens - needs
    return sum(max(0, member.held_tokens - shared) for member in yielding(turn, place))


def waited_for(session: Session, now: float) -> list[Session]:
    """Relatives inside that may have waited for the turn of `session` that has ended: a parent for its child."""
    family: Family = session.family
    if family.wide or family.runs:
        return []
    others = (one for one in family.members if one.place is not None and one is not session)
    return [one for one in others if one.ending is Ending.CALL and now - one.ended_at < AWAY_S]


def _is_away(session: Session, now: float) -> bool:
    return session.place is None and not session.running and now - session.ended_at > AWAY_S
