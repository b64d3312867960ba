"""One client request and its answer: what came in, and what goes out.

The answer is started once; until then it can still become an error, after that only an error event or a cut. Once it
is complete nothing is written any more, whatever fails afterwards: the next bytes on the connection are the next
answer's.
"""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from router.clients import Client
from router.engines.usage import AnswerEnds
from router.observe.trace_context import TraceContext
from router.wire.errors import ApiError, Style, error_body, error_event
from router.wire.headers import RequestHeaders
from router.wire.limits import limit_headers
from router.wire.routes import facts_of
from router.wire.tunnel import TUNNEL, Tunnel
from router.wire.writing import opening, write_body

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Scope = dict[str, Any]

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")
"""The last one tells nginx to pass each event on at once."""
IN_LINE = b"x-warmroute-in-line"
"""Of a refusal for lack of room: the requests that waited before this one."""


class Exchange:
    """A client's request as it came in, which the gateway notes, and the answer as it goes out."""

    __slots__ = (
        "_opening",
        "answer",
        "api",
        "client",
        "clock",
        "cycle",
        "decision_headers",
        "early",
        "endpoint",
        "extensible",
        "headers",
        "method",
        "path",
        "receive",
        "received_at",
        "request_id",
        "started",
        "started_at",
        "status",
        "style",
        "target",
        "trace",
        "tunnel",
    )

    def __init__(self, scope: Scope, receive: Receive, cycle: Any) -> None:
        self.clock = time.monotonic
        self.started_at = self.clock()
        self.receive = receive
        self.cycle = cycle
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        """The canonical path, or a path that is refused: see `routes.canonical`."""
        query = scope["query_string"]
        facts = facts_of(self.path)
        self.target = facts.target + b"?" + query if query else facts.target
        """The target that workers get: the canonical path, and the query as it came."""
        self.api = facts.api if self.method == "POST" else ""
        self.endpoint = facts.endpoint
        self.style: Style = facts.style
        self.tunnel: Tunnel | None = scope["extensions"].get(TUNNEL)
        """Where a WebSocket session would run."""
        self.headers: RequestHeaders
        self.request_id = ""
        self.client: Client | None = None
        """The request's client; None until it is known."""
        self.trace: TraceContext | None = None
        self.decision_headers = False
        self.received_at = 0.0
        """The last byte of the request was in."""
        self.status = 0
        self.started = False
        self.early = False
        """The answer has begun as a stream with status 200 before there was one: see `show_life`."""
        self._opening = b""
        self.extensible = False
        """What was sent of the answer is a stream to which an event can be added: neither compressed nor of a declared
        length."""
        self.answer = AnswerEnds()

    @property
    def client_gone(self) -> bool:
        """True when the client's connection is closed."""
        return bool(self.cycle.disconnected)

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer's status and headers, once. They go out with the first piece of the body, unless the answer has
        begun early."""
        self.started = True
        self.status = status
        if not self.early:
            self._opening = opening(self.cycle, status, headers)

    def show_life(self, sign: bytes) -> None:
        """Write `sign`, a whole event or comment, while there is no answer yet. The first one begins the answer."""
        cycle = self.cycle
        if self.started or cycle.disconnected or cycle.response_complete:
            return
        if not self.early:
            self.early = self.extensible = True
            self.status = HTTPStatus.OK
            self._opening = opening(cycle, HTTPStatus.OK, [*EVENTS, *self._own_headers()])
        if not cycle.flow.write_paused:
            head, self._opening = self._opening, b""
            write_body(cycle, head, sign, True)

    def switch(self) -> None:
        """The connection belongs to a session now, and is no HTTP answer any more: uvicorn must neither end it nor
        report that it has no end."""
        self.started = True
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.cycle.response_started = self.cycle.disconnected = True

    @property
    def complete(self) -> bool:
        """The last byte of the answer has been written."""
        return bool(self.cycle.response_complete)

    @property
    def head_is_out(self) -> bool:
        """Status and headers have been written."""
        return self.started and not self._opening

    async def body(self, chunk: bytes, more: bool) -> None:
        """Send a piece of the answer; waits while the client is slower than the worker."""
        cycle = self.cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            head, self._opening = self._opening, b""
            write_body(cycle, head, chunk, more)

    async def fail(self, error: ApiError) -> None:
        """Answer with an error; inside a running answer, end it so that the client cannot take it for complete."""
        if self.started or self.cycle.response_started:
            await self.break_off(error)
            return
        headers = [JSON, *self._own_headers()]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
        if error.in_line is not None:
            headers.append((IN_LINE, str(error.in_line).encode()))
        status = error.status_in(self.style)
        body = error_body(self.style, status, error.message, error.code, error.param)
        headers.append((b"content-length", str(len(body)).encode()))
        self.start(status, headers)
        await self.body(b"" if self.method == "HEAD" else body, False)

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-request-id", self.request_id.encode("latin-1"))] if self.request_id else []
        return headers if self.client is None else headers + limit_headers(self.client)

    async def break_off(self, error: ApiError) -> None:
        """End a started answer that broke: a stream gets an error event (after the end of a partial frame), anything
        else is cut without its end, which every HTTP client takes as a failure. A complete answer stays as it is."""
        if self.complete:
            return
        if self.extensible:
            closing = b"" if self.answer.last(2) in (b"", b"\n\n") else b"\n\n"
            await self.body(closing + error_event(self.style, error), False)
        else:
            self.cut()

    def cut(self) -> None:
        """Close the client's connection, unless the answer is complete."""
        if self.complete:
            return
        self.cycle.disconnected = True
        self.cycle.transport.abort()
