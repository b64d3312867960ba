"""Sessions that clients say belong together: subagents, and what comes after a compaction.

A family has the room that its members have inside. One of them may always run: the idle ones make room for it. While
one runs, members whose last answer called a tool keep their memory, as a parent waits for its child. An id that many
sessions have at once names no family: some fleets send one id for all.
"""

from router.prefix.index import HASH_BYTES
from router.sessions.memory.session import AWAY_S, Ending, Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.book import Found
from router.sessions.recognition.hints import Hint
from router.sessions.recognition.turn import Turn
from tokenizer_cache.prompt import Prompt

MAX_MEMBERS = 16
"""Members of a family at one time. Danger: with more, strangers under one id push each other's memory out."""
MAX_IDS = 2 * MAX_MEMBERS
"""Ids by which a family is found. Danger: without a bound, a client that sends one known id with ever new ones fills
the memory."""


class Family:
    """One family. `Families` alone writes it."""

    __slots__ = ("ids", "members", "name", "wide")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.ids: set[bytes] = set()
        """The ids by which it is found: its name, and its members' own ids."""
        self.members: dict[Session, None] = {}
        self.wide = False
        """Too many sessions had the id at once, so it says nothing."""

    @property
    def runs(self) -> bool:
        """Does a turn of any member run?"""
        return not self.wide and any(member.running for member in self.members)


class Families:
    """All families that this router knows, by the hashes of their ids."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, Family] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, hint: Hint) -> Family | None:
        """The family of a request, by its own id or by the id of the session that it descends from; None without
        one."""
        if not hint.family:
            return None
        family = self._by_id.get(hint.family) or self._by_id.get(hint.own)
        return None if family is None or family.wide else family

    def find(self, found: Found, hint: Hint, prompt: Prompt) -> Found:
        """The session of a prompt. `found` is what its chain says.

        A chain that breaks goes on as the same session if that session alone has the id, no turn of it runs, and both
        chains begin alike. It does so once, until the session goes on by its chain again: otherwise two chains under
        one id would take turns as one session."""
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
        """Take a session into its family: a new one, or one that another router has told of."""
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
        """The session is no member any more. Safe for one that is none."""
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
        """The sessions that have exactly this id."""
        family = self.of(hint) if hint.own else None
        return [] if family is None else [member for member in family.members if member.own_id == hint.own]


def yielding(turn: Turn, place: WorkingSet) -> list[Session]:
    """Relatives of a turn's session that make room for it at this place. None do while one of them runs."""
    family: Family | None = turn.family
    if family is None or family.wide or family.runs:
        return []
    return [member for member in family.members if member is not turn.session and member.place is place]


def lent(turn: Turn, place: WorkingSet) -> int:
    """Tokens that yielding relatives give up, less what the turn shares with each of them."""
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
