"""Why a command got no reply that can be used. Failures are values: nothing that the shared server does raises."""

from enum import Enum
from typing import Any, NamedTuple

from router.dial.quoting import one_line

Reply = bytes | int | list[Any] | None
"""One reply of the server. Lists hold replies."""


class FailureKind(Enum):
    """The causes; they are label values of a metric."""

    SLOW = "slow"
    """No reply came within the deadline. The server may still execute the command."""
    DOWN = "down"
    """There is no connection."""
    OPEN = "open"
    """The breaker is open: the server has been too slow, and the link tries it in the background."""
    LOST = "lost"
    """The connection ended before the reply. The server may have executed the command."""
    BUSY = "busy"
    """The server is there and cannot answer now: it loads its data, runs a long script, or has lost its cluster."""
    MOVED = "moved"
    """The data is on another server now (failover, resharding)."""
    FULL = "full"
    """The server's memory is full."""
    INVALID = "invalid"
    """The value has another type than routers write, or is too large to be read."""
    DENIED = "denied"
    """The user's name, password or rights do not suffice."""
    ERROR = "error"
    """Anything else."""


class Failure(NamedTuple):
    """Why there is no reply."""

    kind: FailureKind
    detail: str = ""
    """The server's own words, on one line; they name commands and keys, never values."""


MAX_MESSAGE = 1000
"""Characters of a reply that are looked at."""
SLOW = Failure(FailureKind.SLOW)
DOWN = Failure(FailureKind.DOWN)
OPEN = Failure(FailureKind.OPEN)
LOST = Failure(FailureKind.LOST)
INVALID = Failure(FailureKind.INVALID)

_KINDS = {
    "LOADING": FailureKind.BUSY,
    "BUSY": FailureKind.BUSY,
    "MASTERDOWN": FailureKind.BUSY,
    "CLUSTERDOWN": FailureKind.BUSY,
    "TRYAGAIN": FailureKind.BUSY,
    "NOREPLICAS": FailureKind.BUSY,
    "MISCONF": FailureKind.BUSY,
    "READONLY": FailureKind.MOVED,
    "MOVED": FailureKind.MOVED,
    "ASK": FailureKind.MOVED,
    "UNBLOCKED": FailureKind.MOVED,
    "OOM": FailureKind.FULL,
    "WRONGTYPE": FailureKind.INVALID,
    "NOAUTH": FailureKind.DENIED,
    "WRONGPASS": FailureKind.DENIED,
    "NOPERM": FailureKind.DENIED,
}


def failure_of(message: str) -> Failure:
    """Classify an error reply by its first word. Where a script failed, the first word is ERR and the cause comes
    later."""
    message = message[:MAX_MESSAGE]
    code = message.partition(" ")[0]
    kind = _KINDS.get(code)
    if kind is None:
        kind = next((kind for word, kind in _KINDS.items() if f"-{word} " in message or f" {word} " in message), None)
    return Failure(kind or FailureKind.ERROR, one_line(message))
