"""One request as admission sees it: a turn of a session, known or new."""

from typing import Any, Literal, Protocol

from router.fleet.worker import Worker
from router.sessions.memory.footprint import Footprint
from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.book import Found
from router.sessions.recognition.hints import NO_HINT, Hint
from tokenizer_cache.prompt import Prompt

Standing = Literal["new", "branch", "inside", "returned"]
"""A session that nobody knows; a branch of a known one, or of a known family; one whose memory is kept; one that had
given its place up."""


RETURN_S = 30.0
"""For so long memory and places in line are kept after a client has hung up, so that the same turn sent again finds
them. Clients try again within 10 s. Danger: longer, and memory stands idle for clients that never come back."""
NOTHING_WANTED = Footprint([], 0, 0)
UNSTREAMED_SHARE = 0.5
"""Of `session_wait_s`, for answers in one piece: their clients hear nothing before the whole answer."""


class SessionAccount(Protocol):
    """Keeps account of the sessions and who is inside. `SessionAdmission` is the one of the product.

    A turn passes on what happens to it, in this order. Nothing here blocks or fails."""

    def begin(self, turn: "Turn", worker: Worker) -> None: ...

    def answers(self, turn: "Turn", prompt: Prompt) -> None: ...

    def left(self, turn: "Turn", prompt: Prompt | None, answered: bool, gone: bool) -> None: ...

    def learn(self, turn: "Turn", calls: bool, completion_tokens: int | None, cached_tokens: int | None) -> None: ...


class Turn:
    """From its arrival to its end. `SessionAdmission` alone writes it."""

    __slots__ = (
        "_account", "arrived_at", "began_at", "broken", "came", "claim", "expected_tokens", "family", "group", "heard",
        "hint", "kept", "parent", "prompt", "session", "session_id", "standing", "streams", "waited", "wanted",
    )  # fmt: skip

    def __init__(self, account: SessionAccount, group: str, prompt: Prompt, now: float, hint: Hint = NO_HINT) -> None:
        self._account = account
        self.group = group
        self.prompt = prompt
        """As it was known when `wanted` was reckoned."""
        self.wanted = NOTHING_WANTED
        """The memory that it needs, with its answer."""
        self.arrived_at = now
        self.session: Session | None = None
        """None for a new session until the turn goes to a worker."""
        self.parent: Session | None = None
        """The session of which a new one is a branch."""
        self.broken = False
        """It is known by its id alone."""
        self.hint = hint
        """What its client says of its session."""
        self.family: Any = None
        """The sessions with which it belongs together."""
        self.standing: Standing = "new"
        """Whose turn it was when that was last looked for."""
        self.streams = True
        """Its answer comes as a stream."""
        self.session_id = b""
        """Of a new session, once the other routers know it."""
        self.heard = 0
        """What had been heard of other routers' sessions by then."""
        self.waited = False
        """There was no room for it at once."""
        self.began_at = 0.0
        self.came = False
        """The pause before it was learned."""
        self.kept = False
        """Its session's memory was kept for it."""
        self.expected_tokens = 0
        """Of its prompt, what was kept."""
        self.claim: WorkingSet | None = None
        """Where room is made for it: it has waited for long enough."""

    def found(self, found: Found, family: Any) -> None:
        """Whose turn it is, as far as is known by now."""
        self.session, self.parent, self.broken = found
        self.family = family
        self.standing = _standing(found, family is not None)

    @property
    def known(self) -> bool:
        """It is of a session that is known, or of a relative."""
        return self.session is not None or self.parent is not None or self.family is not None

    @property
    def home(self) -> WorkingSet | None:
        """Where its session's memory is kept for it; None where another turn has gone on from the session meanwhile:
        of several that are sent at once only one is its next turn, and the others need room of their own."""
        session = self.session
        return None if session is None or (session.running and not session.answering) else session.place

    @property
    def inside(self) -> bool:
        """Its session's memory is kept somewhere."""
        return self.session is not None and self.session.place is not None

    def begin(self, worker: Worker) -> None:
        """It goes to `worker`."""
        self._account.begin(self, worker)

    def answers(self, prompt: Prompt) -> None:
        """Its answer begins. `prompt`: as it is known by now."""
        self._account.answers(self, prompt)

    def left(self, prompt: Prompt | None, answered: bool, gone: bool = False) -> None:
        """Its attempt has ended. `prompt`: as it is known by now, if it is; `gone`: the client has hung up."""
        self._account.left(self, prompt, answered, gone)

    def learn(self, calls: bool, completion_tokens: int | None, cached_tokens: int | None) -> None:
        """What the answer said: whether it calls a tool, its length, and what was really cached of the prompt."""
        self._account.learn(self, calls, completion_tokens, cached_tokens)


def _standing(found: Found, related: bool) -> Standing:
    if found.session is not None:
        return "inside" if found.session.place is not None else "returned"
    return "branch" if related or found.parent is not None else "new"
