"""Reading a request's body: whole, bounded alone and together with all others, and never a truncated one.

The bytes are kept as they came: they are parsed once and forwarded untouched.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from router.http.errors import ApiError

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class BodyBudget:
    """How many bytes of request bodies are buffered in this process, and the most that may be."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def hold(self) -> "HeldBody":
        """Room for one body; use as a context manager: leaving gives the room back."""
        return HeldBody(self)


class HeldBody:
    """One body's share of the budget."""

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._budget.used_bytes -= self._bytes
        self._bytes = 0

    def grow(self, size: int) -> None:
        """Take `size` more bytes. Raises ApiError 429 when all bodies together would be over the limit."""
        budget = self._budget
        if budget.used_bytes + size > budget.limit_bytes:
            raise ApiError(
                429, "The router holds too many request bodies at the moment.", "overloaded", retry_after_s=1
            )
        budget.used_bytes += size
        self._bytes += size


def whole_body(cycle: Any, max_bytes: int, held: HeldBody) -> bytes | None:
    """The body, if all of it has come before anybody asked: most have, and nothing need be waited for. Raises as
    `read_body`."""
    if cycle.more_body or cycle.disconnected or cycle.response_complete:
        return None
    body = bytes(cycle.body)
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    held.grow(len(body))
    cycle.body = bytearray()
    cycle.message_event.clear()
    return body


async def read_body(
    receive: Receive, content_length: int | None, max_bytes: int, held: HeldBody, waiting: Callable[[], None]
) -> bytes:
    """The whole body. Raises ApiError 413 or 429 over a limit, ClientGoneError when it stays incomplete. `waiting` is
    called before every wait for more of it."""
    if content_length is not None and content_length > max_bytes:
        raise too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        waiting()
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGoneError
        chunk = message["body"]
        if chunk:
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            held.grow(len(chunk))
            chunks.append(chunk)
        if not message["more_body"]:
            break
    if content_length is not None and size != content_length:
        raise ClientGoneError
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(max_bytes: int) -> ApiError:
    """413, naming the limit."""
    return ApiError(413, f"The request body is larger than {max_bytes} bytes.", "request_too_large")
