"""Keeps a stream alive while its request waits: for a place, or for its worker's first byte.

The first sign of life begins the answer. From then on it is a stream of events with status 200, and whatever goes wrong
is told by an event. While a request stands in line, a comment before the sign says how many are before it. What must
not be broken: nothing is written once the worker's answer is passed on, or after an end.
"""

import asyncio
from collections.abc import Callable

from router.wire.errors import Style
from router.wire.exchange import Exchange

COMMENT = b": keep-alive\n\n"
"""Every reader of event streams drops it."""
PING = b'event: ping\ndata: {"type":"ping"}\n\n'
HEARTBEAT = b'event: response.heartbeat\ndata: {"type":"response.heartbeat"}\n\n'
"""For Codex, whose limit on silence counts data alone, and which passes over types that it does not know. Danger for
others: helpers of OpenAI's libraries stop at an event before `response.created`."""
CODEX = frozenset({b"thread-id", b"x-codex-turn-metadata"})
"""Headers that Codex alone sends."""


class KeepAlive:
    """Of one exchange. `every_s` is 0 for none."""

    __slots__ = ("_every_s", "_exchange", "_sign", "_timer", "before")

    def __init__(self, exchange: Exchange, every_s: float) -> None:
        self._exchange = exchange
        self._every_s = every_s
        self._sign = b""
        self._timer: asyncio.TimerHandle | None = None
        self.before: Callable[[], int] | None = None
        """How many requests are before this one; None while it does not stand in line."""
        if every_s:
            exchange.headers.replace(b"accept-encoding", b"identity")  # the head that is sent early names no encoding
            self._sign = sign_of(exchange.style, CODEX.isdisjoint(name for name, _ in exchange.headers.forward))
            self._wait()

    def stop(self) -> None:
        """Nothing is written from now on. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._show)

    def _show(self) -> None:
        self._exchange.show_life(self._sign if self.before is None else place_of(self.before()) + self._sign)
        self._wait()


def sign_of(style: Style, comments_count: bool) -> bytes:
    """What this API's clients take for life. `comments_count`: with the Responses API, comments do."""
    if style == "anthropic":
        return PING
    return COMMENT if style == "openai" or comments_count else HEARTBEAT


def place_of(before: int) -> bytes:
    """A comment, to stand in front of a sign: every reader of event streams drops it."""
    return b": requests in line before this one: %d\n" % before
