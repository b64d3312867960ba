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
"""`new`: no router knows the session. `branch`: it branches off a known session, or a known family has it. `inside`:
its memory is kept. `returned`: it is known, and had left its place."""


RETURN_S = 30.0
"""Seconds for which memory and places in line are kept after a client has hung up, so that the same turn, sent again,
finds them. Clients try again within 10 s. Danger: longer, and memory stands idle for clients that never come back."""
NOTHING_WANTED = Footprint([], 0, 0)
UNSTREAMED_SHARE = 0.5
"""Share of `session_wait_s` that a turn waits whose answer comes in one piece: its client hears nothing before."""


class SessionAccount(Protocol):
    """Keeps account of the sessions and who is inside. `SessionAdmission` is the one of the product.

    A turn passes on what happens to it, in this order. Nothing here blocks or fails."""

    def begin(self, turn: "Turn", worker: Worker) -> None: ...

    def answers(self, turn: "Turn", prompt: Prompt) -> None: ...

    def left(self, turn: "Turn", prompt: Prompt | None, answered: bool, gone: bool) -> None: ...

    def learn(self, turn: "Turn", calls: bool, completion_tokens: int | None, cached_tokens: int | None) -> None: ...


class Turn:
    """One turn, from its arrival to its end. `SessionAdmission` alone writes it."""

    __slots__ = (
        "_account", "arrived_at", "began_at", "broken", "came", "claim", "expected_tokens", "family", "group", "heard",
        "hint", "kept", "noted", "parent", "prompt", "session", "session_id", "standing", "streams", "waited", "wanted",
    )  # fmt: skip

    def __init__(self, account: SessionAccount, group: str, prompt: Prompt, now: float, hint: Hint = NO_HINT) -> None:
        self._account = account
        self.group = group
        self.prompt = prompt
        """The prompt, as it was known when `wanted` was reckoned."""
        self.wanted = NOTHING_WANTED
        """The memory that the turn needs, with its answer."""
        self.arrived_at = now
        self.session: Session | None = None
        """None for a new session until the turn goes to a worker."""
        self.parent: Session | None = None
        """The session of which a new one is a branch."""
        self.broken = False
        """Its session is known by the client's id alone, not by the chain."""
        self.hint = hint
        """What the client says of its session."""
        self.family: Any = None
        """The family of its session; None without one."""
        self.standing: Standing = "new"
        """Whose turn it was at the last look."""
        self.streams = True
        """Its answer comes as a stream."""
        self.session_id = b""
        """Id of a new session, once the other routers know of it; else empty."""
        self.heard = 0
        """`SessionAdmission.heard` at that look."""
        self.waited = False
        """There was no room for it at once."""
        self.began_at = 0.0
        self.came = False
        """The pause before this turn was learned."""
        self.kept = False
        """Its session's memory was kept for it."""
        self.noted: Prompt | None = None
        """The prompt by which its session is known since this turn was answered."""
        self.expected_tokens = 0
        """Tokens of its prompt that were kept."""
        self.claim: WorkingSet | None = None
        """The working set in which room is made for it; None before it has waited for long enough."""

    def found(self, found: Found, family: Any) -> None:
        """Note whose turn it is, as far as is known by now."""
        self.session, self.parent, self.broken = found
        self.family = family
        self.standing = _standing(found, family is not None)

    @property
    def known(self) -> bool:
        """Is its session known, or a relative of it?"""
        return self.session is not None or self.parent is not None or self.family is not None

    @property
    def home(self) -> WorkingSet | None:
        """The working set in which its session's memory is kept for this turn.

        None where another turn of the session runs: of several that are sent at once only one is the next turn, and the
        others need room of their own."""
        session = self.session
        return None if session is None or (session.running and not session.answering) else session.place

    @property
    def inside(self) -> bool:
        """Is its session's memory kept at any worker?"""
        return self.session is not None and self.session.place is not None

    def begin(self, worker: Worker) -> None:
        """The turn goes to `worker`."""
        self._account.begin(self, worker)

    def answers(self, prompt: Prompt) -> None:
        """Its answer begins. `prompt`: what is known of it by now."""
        self._account.answers(self, prompt)

    def left(self, prompt: Prompt | None, answered: bool, gone: bool = False) -> None:
        """Its attempt has ended. `prompt`: what is known of it by now, or None. `gone`: the client has hung up."""
        self._account.left(self, prompt, answered, gone)

    def learn(self, calls: bool, completion_tokens: int | None, cached_tokens: int | None) -> None:
        """Learn from the answer: whether it calls a tool, its length, and how much of the prompt was really cached."""
        self._account.learn(self, calls, completion_tokens, cached_tokens)


def _standing(found: Found, related: bool) -> Standing:
    if found.session is not None:
        return "inside" if found.session.place is not None else "returned"
    return "branch" if related or found.parent is not None else "new"
