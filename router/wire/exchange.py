"""One client request and its answer: what was asked, what was decided, what went out, when.

The answer is started once; until then it can still become an error, after that only an error event or a cut. Once it
is complete nothing is written any more, whatever fails afterwards: the next bytes on the connection are the next
answer's.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from router.clients import Client
from router.engines.usage import AnswerEnds, Usage
from router.fleet.groups import ModelGroup
from router.fleet.worker import Worker
from router.observe.trace_context import TraceContext
from router.wire.errors import ApiError, Style, error_body, error_event
from router.wire.headers import RequestHeaders
from router.wire.limits import limit_headers
from router.wire.writing import opening, write_body
from tokenizer_cache.prompt import Prompt

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Scope = dict[str, Any]

EVENT_STREAM = "text/event-stream"
JSON = (b"content-type", b"application/json")


class Exchange:
    """The state of one request. Plain fields: logs, metrics and the relay read and write them."""

    __slots__ = (
        "_opening",
        "answer",
        "api",
        "attempts",
        "candidates",
        "client",
        "clock",
        "content_type",
        "cycle",
        "decision_headers",
        "dispatched_at",
        "endpoint",
        "extensible",
        "failed",
        "first_byte_at",
        "group",
        "headers",
        "method",
        "model",
        "outcome",
        "path",
        "predicted_cached",
        "prompt",
        "queued_s",
        "reason",
        "receive",
        "received_at",
        "request_id",
        "send",
        "source",
        "started",
        "started_at",
        "status",
        "stream",
        "style",
        "target",
        "trace",
        "usage",
        "worker",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, cycle: Any) -> None:
        self.clock = time.monotonic
        self.started_at = self.clock()
        self.receive = receive
        self.send = send
        self.cycle = cycle
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        """The canonical path, or a path that is refused: see `routes.canonical`."""
        query = scope["query_string"]
        path = self.path.encode("latin-1")
        self.target = path + b"?" + query if query else path
        """As workers get it: the canonical path, and the query as it came."""
        self.headers: RequestHeaders
        self.api = ""
        self.endpoint = "other"
        self.style: Style = "openai"
        self.request_id = ""
        self.client: Client | None = None
        """The request's client; None until it is known."""
        self.model = ""
        self.stream = False
        self.prompt: Prompt | None = None
        self.predicted_cached = 0
        self.source = ""
        self.reason = ""
        self.candidates = 0
        """Among how many workers was chosen."""
        self.trace: TraceContext | None = None
        self.group: ModelGroup | None = None
        """The workers that can serve it; None where only one can (the owner of a stored response)."""
        self.worker: Worker | None = None
        self.failed: list[Worker] = []
        self.attempts = 0
        self.received_at = 0.0
        self.queued_s = 0.0
        """Time spent waiting for a worker to become free."""
        self.dispatched_at = 0.0
        self.first_byte_at = 0.0
        self.status = 0
        self.outcome = "ok"
        self.started = False
        self._opening = b""
        self.content_type = ""
        self.extensible = False
        """What was sent of the answer is a stream to which an event can be added: neither compressed nor of a declared
        length."""
        self.decision_headers = False
        self.answer = AnswerEnds()
        self.usage: Usage | None = None

    @property
    def streams(self) -> bool:
        """The answer is a stream of events."""
        return self.content_type.startswith(EVENT_STREAM)

    @property
    def client_gone(self) -> bool:
        """True when the client's connection is closed."""
        return bool(self.cycle.disconnected)

    def others_available(self) -> bool:
        """Could a worker that is neither the chosen one nor has failed take this request?"""
        group = self.group
        return group is not None and any(
            worker is not self.worker and worker not in self.failed and worker.available() for worker in group.workers
        )

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer's status and headers, once. They go out with the first piece of the body."""
        self.started = True
        self.status = status
        self._opening = opening(self.cycle, status, headers)

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
            await self.break_off(error.message)
            return
        headers = [JSON, (b"x-request-id", self.request_id.encode("latin-1"))] if self.request_id else [JSON]
        if self.client is not None:
            headers += limit_headers(self.client)
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(error.retry_after_s).encode()))
        body = error_body(self.style, error.status, error.message, error.code, error.param)
        headers.append((b"content-length", str(len(body)).encode()))
        self.start(error.status, headers)
        await self.body(b"" if self.method == "HEAD" else body, False)

    async def break_off(self, message: str) -> None:
        """End a started answer that broke: a stream gets an error event (after the end of a partial frame), anything
        else is cut without its end, which every HTTP client takes as a failure. A complete answer stays as it is."""
        if self.complete:
            return
        if self.extensible:
            closing = b"" if self.answer.last(2) in (b"", b"\n\n") else b"\n\n"
            await self.body(closing + error_event(self.style, message), False)
        else:
            self.cut()

    def cut(self) -> None:
        """Close the client's connection, unless the answer is complete."""
        if self.complete:
            return
        self.cycle.disconnected = True
        self.cycle.transport.abort()
