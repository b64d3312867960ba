"""The HTTP/1.1 server's protocol: uvicorn's, with the limits that a public router needs.

uvicorn takes headers of any size, waits for ever for their end, and does not notice that a pipelining client has gone.
Here headers are bounded in size and time, what a client pipelines ahead is held unparsed and bounded, trailers are
dropped, and a client that leaves (also by half-closing) cancels its request's task at once. The rest of a body that was
answered early is read and thrown away, so that the answer arrives.
"""

import time
from collections import deque
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from router.wire.body import BodyBudget, HeldBody, forget_body
from router.wire.errors import Style, error_body
from router.wire.framing import MAX_HEADERS, flaw
from router.wire.routes import REALTIME, style_of
from router.wire.tunnel import TUNNEL, Tunnel

PIPELINE_HELD_BYTES = 1 << 20
"""Bytes that a client may pipeline ahead. If it sends more while a response runs, the connection is closed."""
MAX_PIPELINED = 64
"""Requests that may be parsed ahead: those that came in one read with the running one."""

FRAMING = (b"content-length", b"transfer-encoding")
"""Headers that say where a body ends."""

TRAILERS: Any = deque(maxlen=0)
"""Replaces the list of headers when they are complete. Trailers after a chunked body are unchecked and unbounded, and
must never reach a worker as headers."""

LINGER_S = 1.0
"""Seconds for which the rest of a refused request is read and thrown away."""

CYCLE = "warmroute.cycle"
"""The ASGI scope's key for the running cycle: `disconnected` says why a task was cancelled, `close()` cuts the answer.
The code that serves the request removes it: scope and cycle would hold each other, and a long request's memory would
never be freed."""


CLIENT_TIMEOUT_S = 60.0
"""A client that neither sends the next byte of its body nor takes one of an answer for this long is cut off. Danger:
longer, and clients that stall hold memory and workers."""
HEADER_TIMEOUT_S = 10.0
"""Seconds from the first byte of a request, or the opening of a connection, to the end of the headers; beyond it 408.
Headers fit into a few packets. Danger: longer, and silent connections hold their places for longer."""
KEEP_ALIVE_S = 620
"""Seconds for which a client's idle connection is kept. Balancers keep theirs for 60 to 600 s. Danger: shorter than
theirs, and a request that they send into a connection that is being closed is lost."""
MAX_HEADER_BYTES = 65536
"""Request line and headers together; beyond it 431. The largest tokens and cookies are below 16 KiB, and each
connection may make the router hold this much before a key was seen."""


class HttpLimits(msgspec.Struct, frozen=True):
    """Limits on what a client may send before there is a request."""

    header_bytes: int = MAX_HEADER_BYTES
    header_timeout_s: float = HEADER_TIMEOUT_S
    gathered_bytes: int = 1 << 19
    """Bytes of a body that are read before the application is woken for it; about what the socket buffers hold
    anyway."""


class Leaving:
    """Whether the router is shutting down. All connections of a server read it."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = False


class _BodyOnly:
    """The callbacks of a parser for a request whose headers another parser has read. It is the connection's last
    request."""

    def __init__(self, protocol: "GuardedProtocol") -> None:
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_last_message_complete


class GuardedProtocol(HttpToolsProtocol):
    """One client connection. Made by uvicorn through a subclass that carries the limits (`guarded`)."""

    limits = HttpLimits()
    leaving = Leaving()
    budget = BodyBudget(1 << 30)
    """The budget of all bodies in this process, including those that the application has not asked for yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since = time.monotonic()
        """Start of the wait for complete headers, or for the end of a body that was answered early; 0 while a request
        runs or the connection idles after one."""
        self._in_head = False
        self._chunk_bytes = 0
        self._head_bytes = 0
        """Bytes received since the headers began, with all of the chunk in which they began: at least the headers'
        size."""
        self._first_chunk_bytes = 0
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._held_room: HeldBody | None = None
        self._broken = False
        """True when nothing more is read."""
        self._active: RequestResponseCycle | None = None
        self._tunnel: Tunnel | None = None

    # What arrives -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return
        if self._tunnel is not None:
            self._tunnel.feed(data)
        elif self.pipeline:
            self._hold(data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._chunk_bytes = len(data)
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "The request is not valid HTTP/1.1.")
        else:
            if self._in_head and self._head_bytes - self._first_chunk_bytes > self.limits.header_bytes:
                self._refuse(431, f"Request headers are larger than {self.limits.header_bytes} bytes.")
        if self.cycle is None or self.cycle.response_complete:
            self.waiting_since = self.waiting_since or time.monotonic()
        if self.pipeline:
            self.flow.resume_reading()  # keep reading, or the router would not notice that the client leaves

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._broken = True
            self._drop_pipeline()
            self.transport.abort()
            raise ValueError("pipelined too far ahead")  # ends the parsing of what has come
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._first_chunk_bytes = self._chunk_bytes

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but bounded, and without white space after the value."""
        headers = self.headers
        if len(headers) >= MAX_HEADERS:
            self._refuse(431, f"There are more than {MAX_HEADERS} request headers.")
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._broken:
            return
        version = self.parser.get_http_version()
        if wrong := flaw(version, self.headers):
            self._refuse(400, wrong)
            return
        self.expect_100_continue = self.expect_100_continue and version == "1.1"
        if self._head_bytes > self.limits.header_bytes and self._size_of_headers() > self.limits.header_bytes:
            self._refuse(431, f"Request headers are larger than {self.limits.header_bytes} bytes.")
            return
        self.waiting_since = 0.0
        self.scope["extensions"] = {}
        if self.parser.should_upgrade() and self._may_tunnel():
            self._tunnel = Tunnel(self.transport, self.flow)
            self.scope["extensions"] = {TUNNEL: self._tunnel}  # type: ignore[dict-item]
        super().on_headers_complete()
        self.cycle.held = self.budget.hold()  # type: ignore[attr-defined]
        self.headers = TRAILERS
        if self.parser.should_upgrade() or self.leaving.now:
            self.cycle.keep_alive = False

    def close_after_answer(self) -> None:
        """Close the connection after the answer, so that the client's next request goes to another router. Idle
        connections stay: a request may already be under way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def _may_tunnel(self) -> bool:
        """Is this a WebSocket handshake on the path for them, without a body, and with no unanswered request before
        it?"""
        headers = dict(self.headers)
        return (
            (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"GET"
            and self.url.partition(b"?")[0] == REALTIME
            and headers.get(b"upgrade", b"").lower() == b"websocket"
            and not any(name in headers for name in FRAMING)
        )

    def on_body(self, body: bytes) -> None:
        """Gather: uvicorn wakes the application and stops reading at every 64 KiB, which is most of an upload's
        cost."""
        cycle: Any = self.cycle
        if self._broken or cycle.response_complete:
            return
        if not cycle.held.take(len(body)):
            if cycle.held.over:
                cycle.body.clear()
                cycle.message_event.set()
            return
        cycle.body += body
        if len(cycle.body) > self.limits.gathered_bytes:
            self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        if not self._broken:
            self.cycle.more_body = False
            self.waiting_since = 0.0
            super().on_message_complete()
            self.flow.resume_reading()  # uvicorn does so when it is asked for more of the body, and there is no more

    def on_last_message_complete(self) -> None:
        """Nothing that follows on this connection belongs to this request, or to any."""
        self.on_message_complete()
        self._broken = True

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _hold(self, data: bytes) -> None:
        room = self._held_room = self._held_room or self.budget.hold()
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > PIPELINE_HELD_BYTES or not room.take(len(data)):
            self.transport.abort()

    def _take_held(self) -> bytes:
        """Take out the held bytes."""
        data = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        if self._held_room is not None:
            self._held_room.close()
            self._held_room = None
        return data

    # The request's task -------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope[CYCLE] = cycle  # type: ignore[literal-required]
        task = self.loop.create_task(cycle.run_asgi(app))
        cycle.task = task  # type: ignore[attr-defined]
        self._active = cycle
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(self.timeout_keep_alive, self.transport.abort)
        if self._running() is None and (self._in_head or self._answered_early()):
            self.waiting_since = time.monotonic()
        if self._held and not self.pipeline:
            data = self._take_held()
            if not self.transport.is_closing():
                self.data_received(data)

    def timeout_keep_alive_handler(self) -> None:
        """The connection has idled: close it, and do not wait for ever for a client that does not read its answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._take_held()
        self._drop_pipeline()
        running = self._running()
        if running is not None:
            self._cancel(running)

    def _drop_pipeline(self) -> None:
        for cycle, _ in self.pipeline:
            forget_body(cycle)
        self.pipeline.clear()

    @staticmethod
    def _cancel(running: RequestResponseCycle) -> None:
        """Cancel a request whose client is gone or has broken it off. If its task has not begun, it never does."""
        running.disconnected = True
        running.task.cancel()  # type: ignore[attr-defined]
        forget_body(running)

    def _running(self) -> RequestResponseCycle | None:
        active = self._active
        return None if active is None or active.response_complete else active

    def _answered_early(self) -> bool:
        """Is the last answer complete, and its request's body still coming?"""
        active = self._active
        return active is not None and active.response_complete and active.more_body

    # Refusals -----------------------------------------------------------------------------------------------------

    def _upgrade(self, rest: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.feed(rest)
        else:
            self._decline_upgrade(rest)

    def _decline_upgrade(self, rest: bytes) -> None:
        """The parser stops after an offer to upgrade (HTTP/2 clients make it with any request), even before the body.
        Another parser reads the body, the request is answered as HTTP/1.1, and then the connection closes."""
        if self._broken:
            return
        cycle = self.cycle
        cycle.keep_alive = False
        cycle.more_body = True
        cycle.message_event.clear()
        self.parser = httptools.HttpRequestParser(_BodyOnly(self))
        framing = [name + b": " + value for name, value in cycle.scope["headers"] if name in FRAMING]
        self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"\r\n"]))
        if rest:
            self.data_received(rest)

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close. A running response must not be mixed with these bytes: it finishes first, unless the broken
        bytes are its own request's body. A request that has been answered gets no second answer."""
        if self._broken:
            return
        self._broken = True
        running = self._running()
        if running is not None and (not running.more_body or running.response_started):
            running.keep_alive = False
            self._drop_pipeline()
            return
        style: Style = "openai"
        if running is not None:
            style = style_of(running.scope["path"])
            self._cancel(running)
        if not self._answered_early():
            body = error_body(style, status, message)
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + (b"" if self.parser.get_method() == b"HEAD" else body))
        self._linger()

    def _linger(self) -> None:
        """Close so that the answer arrives: closing at once while the client still sends would reset the connection
        under it."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.abort)
        else:
            self.transport.close()

    def check_header_time(self, now: float) -> None:
        """Called about once a second: a client that does not finish its headers in time is answered 408."""
        if self.waiting_since and now - self.waiting_since > self.limits.header_timeout_s and not self._broken:
            if self._in_head:
                self._refuse(408, "The request's headers did not arrive in time.")
            else:
                self.transport.close()
