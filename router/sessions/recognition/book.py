"""Which session a prompt belongs to, by its chain alone.

A turn continues a session when its prompt extends the session's last prompt; a shared beginning alone does not. A
prompt that extends an earlier one of its prompts is a fork: an edit, or one of several branches.
"""

from collections.abc import Iterator
from typing import NamedTuple

from router.prefix.index import HASH_BYTES
from router.sessions.memory.footprint import leaf_of
from router.sessions.memory.session import Session
from tokenizer_cache.prompt import Prompt

MAX_SESSIONS = 100_000
"""Sessions that are remembered; with more, the one that was idle for longest is forgotten. One takes 0.9 KB, and while
it is inside 0.1 KB more for each 1,000 tokens of its prompt."""
LEAVES = 4
"""Earlier prompts of a session by which a fork is known."""


class Found(NamedTuple):
    """The session that a prompt belongs to."""

    session: Session | None = None
    """The session that the prompt continues."""
    parent: Session | None = None
    """If it continues none: the session of which it is a branch."""
    broken: bool = False
    """The session is known by the client's id alone: the chain has broken off."""


NOBODY = Found()


class SessionBook:
    """All sessions known to this router, those used last at the end."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._by_leaf: dict[bytes, Session] = {}
        self._sessions: dict[Session, None] = {}
        self._by_id: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def knows(self, session: Session) -> bool:
        """Was a prompt of this session noted?"""
        return session in self._sessions

    def find(self, prompt: Prompt) -> Found:
        """The session of the deepest leaf that the prompt has. Changes nothing."""
        chain, by_leaf = prompt.chain, self._by_leaf
        known = min(len(chain), prompt.known_blocks * HASH_BYTES)
        for end in range(known - known % HASH_BYTES, 0, -HASH_BYTES):
            leaf = chain[end - HASH_BYTES : end]
            session = by_leaf.get(leaf)
            if session is not None:
                goes_on = session.leaves[-1] == leaf and (session.answering or not session.running)
                return Found(session) if goes_on else Found(None, session)
        return NOBODY

    def get(self, session_id: bytes) -> Session | None:
        """The session with this id."""
        return self._by_id.get(session_id)

    def known(self) -> list[Session]:
        """All sessions, also those whose first turn runs."""
        return list(self._by_id.values())

    def begin(self, session: Session) -> None:
        """The session's first turn runs. Call `note` when it is answered, else `forget`."""
        self._by_id[session.id] = session

    def latest(self) -> Iterator[Session]:
        """All sessions with a noted prompt, the one used last first."""
        return reversed(self._sessions)

    def note(self, session: Session, prompt: Prompt) -> list[Session]:
        """Note a prompt of the session. Returns the sessions that are forgotten to make room."""
        return self.note_leaf(session, leaf_of(prompt))

    def note_leaf(self, session: Session, leaf: bytes) -> list[Session]:
        """As `note`, by the prompt's leaf; empty for a prompt without one."""
        self._sessions.pop(session, None)
        self._sessions[session] = None
        self._by_id[session.id] = session
        if leaf and leaf not in session.leaves:  # the end of an earlier turn may be noticed late
            session.leaves.append(leaf)
            self._by_leaf[leaf] = session
            if len(session.leaves) > LEAVES:
                self._unlink(session, session.leaves.pop(0))
        return self._shortened() if len(self._sessions) > self._max_sessions else []

    def forget(self, session: Session) -> None:
        """Forget the session. Safe for one that is not here."""
        self._sessions.pop(session, None)
        self._by_id.pop(session.id, None)
        for leaf in session.leaves:
            self._unlink(session, leaf)
        session.leaves.clear()  # a turn of it that waits may come back

    def _unlink(self, session: Session, leaf: bytes) -> None:
        if self._by_leaf.get(leaf) is session:
            del self._by_leaf[leaf]

    def _shortened(self) -> list[Session]:
        gone = []
        while len(self._sessions) > self._max_sessions:
            oldest = next((session for session in self._sessions if not session.running), None)
            if oldest is None:
                break
            self.forget(oldest)
            gone.append(oldest)
        return gone
