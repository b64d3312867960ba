"""Reads a request's body: whole, never truncated, bounded by itself and together with all other bodies.

The bytes are kept as they came: they are parsed once and forwarded untouched. The protocol counts them when they
arrive, even before the application asks for them; a cycle's `held` is its share of the budget for all bodies.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from router.wire.errors import ApiError

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class BodyBudget:
    """The bytes of request bodies that are buffered in this process, and their limit."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def hold(self) -> "HeldBody":
        """A share for one body, empty at first. The caller must close it."""
        return HeldBody(self)


class HeldBody:
    """One body's share of the budget."""

    __slots__ = ("_budget", "_bytes", "_closed", "on_more", "over")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0
        self._closed = False
        self.over = False
        """True when there was no room for the body."""
        self.on_more: Callable[[], None] | None = None
        """Called when more of it has come."""

    def take(self, size: int) -> bool:
        """Count `size` more bytes. Returns False when they must be thrown away, because the body is no longer wanted,
        or because all bodies together would be over the limit; then this body's earlier bytes are given up too."""
        budget = self._budget
        if self._closed:
            return False
        if budget.used_bytes + size > budget.limit_bytes:
            self.over = True
            self.close()
            return False
        budget.used_bytes += size
        self._bytes += size
        if self.on_more is not None:
            self.on_more()
        return True

    def close(self) -> None:
        """Give the share back, for good. May be called again."""
        self._closed = True
        self._budget.used_bytes -= self._bytes
        self._bytes = 0

    def check(self) -> None:
        """Raises ApiError 503 where there was no room."""
        if self.over:
            raise ApiError(
                503, "The router holds too many request bodies at the moment.", "overloaded", retry_after_s=1
            )


def forget_body(cycle: Any) -> None:
    """Drop the body: its bytes and its share are given up, and bytes that still come are thrown away. A client that got
    no 100 Continue may leave the body out: then it is unknown where its next request begins."""
    cycle.held.close()
    cycle.body = bytearray()
    if cycle.more_body and cycle.waiting_for_100_continue:
        cycle.keep_alive = False


def whole_body(cycle: Any, max_bytes: int) -> bytes | None:
    """The body, if all of it has come already, as most bodies have. Raises as `read_body`."""
    cycle.held.check()
    if cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    body = bytes(cycle.body)
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    cycle.body = bytearray()
    cycle.message_event.clear()
    return body


async def read_body(
    receive: Receive, content_length: int | None, max_bytes: int, held: HeldBody, progressed: Callable[[], None]
) -> bytes:
    """The whole body. Raises ApiError 413 or 503 over a limit, and ClientGoneError when it stays incomplete.
    `progressed` is called before every wait for more bytes, and whenever more bytes come."""
    if content_length is not None and content_length > max_bytes:
        raise too_large(max_bytes)
    held.on_more = progressed
    try:
        body = await _read_all(receive, max_bytes, held, progressed)
    finally:
        held.on_more = None
    if content_length is not None and len(body) != content_length:
        raise ClientGoneError
    return body


async def _read_all(receive: Receive, max_bytes: int, held: HeldBody, waiting: Callable[[], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        waiting()
        message = await receive()
        held.check()
        if message["type"] != "http.request":
            raise ClientGoneError
        chunk = message["body"]
        if chunk:
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            chunks.append(chunk)
        if not message["more_body"]:
            break
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(max_bytes: int) -> ApiError:
    """413, naming the limit."""
    return ApiError(413, f"The request body is larger than {max_bytes} bytes.", "request_too_large")
