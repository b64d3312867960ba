"""One session, as far as admission knows it."""

import math
from enum import IntEnum
from os import urandom
from typing import Any, Final

ID_BYTES: Final = 8
AWAY_S: Final = 600.0
"""Seconds that a session waits for a relative at most. A session that was outside for longer counts as away. Danger:
without an end, one turn that always runs keeps the memory of fifteen relatives, whoever waits for it."""


class Ending(IntEnum):
    """How a turn ended, by which its pause is foreseen."""

    FIRST_ANSWER = 0
    """A session's first turn ended with an answer: most one-shot requests never return."""
    ANSWER = 1
    """A later turn ended with an answer: a person reads it, or an agent that speaks its calls as text."""
    CALL = 2
    """It ended with a tool call: it returns when the tool has run."""


class Session:
    """One session. Its working set writes what it holds, admission writes the rest."""

    __slots__ = (
        "anchors", "answering", "broken", "ended_at", "ending", "family", "family_id", "group", "held_tokens", "id",
        "kept_until", "leaves", "leaving", "own_id", "place", "prompt_tokens", "router", "running", "runs", "since",
        "start", "told_anchors", "turns",
    )  # fmt: skip

    def __init__(self, group: str = "", session_id: bytes = b"") -> None:
        self.id = session_id or urandom(ID_BYTES)
        """The same on every router."""
        self.group = group
        """The model that it is of."""
        self.router = ""
        """The router that changed it last; empty for this router."""
        self.runs: dict[str, int] | None = None
        """How many of its turns run through each other router."""
        self.leaves: list[bytes] = []
        """The leaves of its last prompts, the newest last."""
        self.turns = 0
        """Turns that were answered so far."""
        self.running = 0
        """Turns that run now, through all routers."""
        self.answering = False
        """The answer of the turn that runs has begun. So the next turn may come before that one's end was noticed."""
        self.prompt_tokens = 0
        """Length of the prompt of its last answered turn."""
        self.ended_at = 0.0
        """When its last turn ended."""
        self.ending = Ending.FIRST_ANSWER
        """How its last turn ended."""
        self.place: Any = None
        """The working set that it is inside of; None while it is outside."""
        self.since = 0.0
        """When it came inside."""
        self.kept_until = 0.0
        """When its lease ends, while it is idle."""
        self.leaving = False
        """It leaves at the end of its turn: another session has waited for long enough."""
        self.anchors: list[bytes] = []
        """The anchors of what it holds (see `footprint`)."""
        self.told_anchors: list[bytes] = []
        """Its anchors as the other routers know them."""
        self.held_tokens = 0
        """KV tokens that it needs, with its answer."""
        self.own_id = self.family_id = b""
        """Hashes of what its client calls it and its relatives; empty for what was not said."""
        self.family: Any = None
        """The sessions with which it belongs together; None without an id."""
        self.start = b""
        """The first hash of its prompts; kept where it has an id."""
        self.broken = False
        """Its last turn was known by its id alone."""

    @property
    def waits_until(self) -> float:
        """When it stops to wait for a relative that runs; the past if it waits for none. It waits if its last answer
        called a tool."""
        waits = self.family is not None and self.ending is Ending.CALL and self.family.runs
        return self.ended_at + AWAY_S if waits else -math.inf

    def busy(self, now: float) -> bool:
        """Does a turn of it run, or does it wait for a relative?"""
        return bool(self.running) or now < self.waits_until

    @property
    def runs_here(self) -> int:
        """Number of its turns that run through this router."""
        return self.running - sum(self.runs.values()) if self.runs else self.running
