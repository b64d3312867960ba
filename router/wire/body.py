"""Reading a request's body: whole, bounded alone and together with all others, and never a truncated one.

The bytes are kept as they came: they are parsed once and forwarded untouched. The protocol counts them where they come
in, whether anybody has asked for them yet or not; a cycle's `held` is its share of what all may hold.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from router.wire.errors import ApiError

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class BodyBudget:
    """How many bytes of request bodies are buffered in this process, and the most that may be."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def hold(self) -> "HeldBody":
        """Room for one body: empty, to be closed."""
        return HeldBody(self)


class HeldBody:
    """One body's share of the budget."""

    __slots__ = ("_budget", "_bytes", "_closed", "on_more", "over")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0
        self._closed = False
        self.over = False
        """There was no room for it."""
        self.on_more: Callable[[], None] | None = None
        """Called when more of it has come."""

    def take(self, size: int) -> bool:
        """Count `size` more bytes. False: throw them away, since nobody wants the body, or all bodies together would
        be over the limit; then what was counted before is given up too."""
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
        """Give the room back, for good. May be called again."""
        self._closed = True
        self._budget.used_bytes -= self._bytes
        self._bytes = 0

    def check(self) -> None:
        """Raises ApiError 429 where there was no room."""
        if self.over:
            raise ApiError(
                429, "The router holds too many request bodies at the moment.", "overloaded", retry_after_s=1
            )


def forget_body(cycle: Any) -> None:
    """Nobody wants the body any more: what came of it goes, and its room is given back; what still comes is thrown
    away. A client that was not told to go on may leave it out: then nobody knows where its next request begins."""
    cycle.held.close()
    cycle.body = bytearray()
    if cycle.more_body and cycle.waiting_for_100_continue:
        cycle.keep_alive = False


def whole_body(cycle: Any, max_bytes: int) -> bytes | None:
    """The body, if all of it has come before anybody asked: most have, and nothing need be waited for. Raises as
    `read_body`."""
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
    """The whole body. Raises ApiError 413 or 429 over a limit, ClientGoneError when it stays incomplete. `progressed`
    is called before every wait for more of it, and whenever more of it comes in."""
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
