"""A worker's answer as it is read off its connection: no task is woken for a chunk that can be passed on at once.

`WorkerConnection` is what aiohttp's connector dials and pools; reading is ours, with the parser that the server uses
too. The request's task waits for its answer in `WorkerAnswer`. What must not be broken: bytes that no answer claims
close the connection, and a connection goes back to the pool only after a whole answer to a whole request. All bytes of
a worker outside bodies (heads, 1xx responses, chunk extensions, trailers) are bounded, and only one head is kept.
"""

import asyncio
import string
from collections.abc import Callable

import httptools
from aiohttp.client_exceptions import ClientError
from aiohttp.client_proto import ResponseHandler

MAX_HEADER_BYTES = 65536
"""Limit of all bytes before the answer's head is complete, including 1xx responses; and of all bytes after it that are
not body: chunk extensions, trailers."""
MAX_HEADERS = 256
"""Most headers of one head. Clients accept fewer than 64 KiB could hold: Python 100 headers, nginx 8 KiB."""
READ_BUFFER_BYTES = 1 << 18
"""Answer bytes held per request while the client is slower than the worker; with more, the worker must wait."""
ANNOUNCEMENTS = frozenset({100, 102, 103})
"""Statuses before the final answer."""
ANSWERS = range(200, 600)
"""Not 101: the router never asks for another protocol."""
_BODYLESS = frozenset({204, 304})
TRANSFER_ENCODING = b"transfer-encoding"
FRAMING = (b"content-length", TRANSFER_ENCODING)
"""Headers that say where a body ends."""
VERSIONS = ("1.0", "1.1")

RawHeaders = list[tuple[bytes, bytes]]
PassOn = Callable[[bytes], bool]
"""Takes a chunk at once. If it returns False, the chunk is kept and the waiting task is woken."""


class MalformedAnswerError(ClientError):
    """The worker's bytes are no HTTP answer that can be relayed."""


class WorkerAnswer:
    """One answer: its head, and then its body in chunks. Read by one task."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_cut",
        "_error",
        "_held",
        "_pass_on",
        "_waiter",
        "ended",
        "headers",
        "status",
    )

    def __init__(self, connection: "WorkerConnection", cut: Callable[[], None]) -> None:
        self._connection = connection
        self._cut = cut
        self.status = 0
        """0 until the head has come."""
        self.headers: RawHeaders = []
        """Names are in lower case."""
        self.ended = False
        """The last byte has come. Chunks may still wait to be read."""
        self._chunks: list[bytes] = []
        self._held = 0
        self._error: Exception | None = None
        self._pass_on: PassOn | None = None
        self._waiter: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Cut the connection, which makes the worker stop working on the request. A complete answer's is another
        request's by now."""
        if not self.ended:
            self._cut()

    async def head(self) -> None:
        """Wait for status and headers. Raises OSError when the connection ends, ClientError for what is no answer."""
        while not self.status:
            await self._wait()

    async def read(self, pass_on: PassOn | None = None) -> bytes:
        """The next bytes of the body that were not taken yet; b"" at its end. While waiting, chunks that are not the
        last go to `pass_on`, as long as it takes them. Raises as `head`."""
        self._pass_on = pass_on
        try:
            while not (self._chunks or self.ended):
                await self._wait()
        finally:
            self._pass_on = None
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._held > READ_BUFFER_BYTES:
            self._connection.go_on()
        self._held = 0
        return data

    def header(self, name: bytes) -> str:
        """The first header of this (lower-case) name; "" where there is none."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # For the connection -------------------------------------------------------------------------------------------

    def take(self, chunk: bytes) -> None:
        """Take a part of the body."""
        if chunk:
            pass_on = self._pass_on
            if pass_on is not None and not self.ended and not self._chunks and pass_on(chunk):
                return
            self._chunks.append(chunk)
            self._held += len(chunk)
            if self._held > READ_BUFFER_BYTES and not self.ended:
                self._connection.hold_on()
        self._wake()

    def fail(self, error: Exception) -> None:
        """Note that the answer will not be completed."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class WorkerConnection(ResponseHandler):
    """One connection to a worker, used for one request after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._http = httptools.HttpResponseParser(self)
        self._answer: WorkerAnswer | None = None
        self._on_end: Callable[[], None] | None = None
        self._bodyless = False
        self._announcing = False
        self._framed = False
        self._framing_bytes = 0
        """Received since the request was written, or since there was last some of the body."""
        self._headers: RawHeaders = []
        self._parts: list[bytes] = []

    @property
    def should_close(self) -> bool:
        """True when the connection must not be used again."""
        return bool(self._should_close or self._answer is not None or not self.is_connected())

    def expect(self, bodyless: bool, on_end: Callable[[], None], cut: Callable[[], None]) -> WorkerAnswer:
        """The answer to the request that is about to be written. `bodyless`: to HEAD. `on_end` is called at its last
        byte, `cut` when the answer is cut."""
        answer = self._answer = WorkerAnswer(self, cut)
        self._on_end = on_end
        self._bodyless = bodyless
        self._framing_bytes = 0
        return answer

    def hold_on(self) -> None:
        """Stop reading, so that the worker waits."""
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # What arrives -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.close()  # bytes without a request
            return
        self._framing_bytes += len(data)
        try:
            self._http.feed_data(data)
            if self._framing_bytes > MAX_HEADER_BYTES and self._answer is answer:
                raise MalformedAnswerError("too much that is no body")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ClientError):
            if self._answer is answer:  # else the answer is whole, and what follows it is of no use
                self._fail(MalformedAnswerError("the worker's answer cannot be relayed"))
            self._should_close = True
        self._deliver(answer)

    def _deliver(self, answer: WorkerAnswer) -> None:
        parts = self._parts
        chunk = b"" if not parts else parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self._answer is None and self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()
        if chunk or answer.status:
            answer.take(chunk)

    def on_message_begin(self) -> None:
        """The parser's: an answer begins."""
        if self._answer is None:
            self._should_close = True
        self._headers = []
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for a header, or for a trailer after a chunked body. Trailers are dropped, because they
        are not checked."""
        answer = self._answer
        if answer is None or answer.status:
            return
        if len(self._headers) >= MAX_HEADERS:
            raise MalformedAnswerError("too many headers")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The parser's: the head is complete."""
        status = self._http.get_status_code()
        self._announcing = status in ANNOUNCEMENTS
        answer = self._answer
        if self._announcing or answer is None:
            return
        if status not in ANSWERS or not _sendable(self._headers, self._framing_bytes):
            raise MalformedAnswerError("status or headers")
        framing = [pair for pair in self._headers if pair[0] in FRAMING]
        if len(framing) > 1 or self._http.get_http_version() not in VERSIONS or not all(map(_is_read, framing)):
            raise MalformedAnswerError("where its body ends is not clear")
        answer.status = status
        answer.headers, self._headers = self._headers, []
        self._framed = bool(framing)
        self._framing_bytes = 0
        if self._bodyless:
            self._should_close = self._should_close or status not in _BODYLESS  # the parser would wait for a body
            self._end()

    def on_body(self, body: bytes) -> None:
        """The parser's: some of the body."""
        self._framing_bytes = 0
        if self._answer is not None:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The parser's: the answer, or an announcement, is complete."""
        if self._announcing:
            self._announcing = False
        elif self._answer is not None:
            self._should_close = self._should_close or not self._http.should_keep_alive()
            self._end()

    def _end(self) -> None:
        if self._answer is not None:
            self._answer.ended = True
            self._answer = None

    def _fail(self, error: Exception) -> None:
        answer, self._answer, self._on_end = self._answer, None, None
        self._should_close = True
        if answer is not None:
            answer.fail(error)

    def eof_received(self) -> None:
        """The worker has closed its side: so does the router."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection ended, which also ends an answer without a given length."""
        answer = self._answer
        if answer is not None:
            if exc is None and answer.status and not self._framed:
                self._should_close = True
                self._end()
                self._deliver(answer)
            else:
                self._fail(ConnectionResetError("the connection to the worker ended"))
        super().connection_lost(exc)


def _is_read(framing: tuple[bytes, bytes]) -> bool:
    """Is this header, of those that say where the body ends, one that the router reads? Lengths the parser checks."""
    name, value = framing
    return name != TRANSFER_ENCODING or value.strip().lower() == b"chunked"


def _sendable(headers: RawHeaders, received: int) -> bool:
    """May these headers be passed on? uvicorn refuses some that parsers let through."""
    names = [name for name, _ in headers]
    values = b"".join([value for _, value in headers])
    if received > MAX_HEADER_BYTES and sum(map(len, names)) + len(values) > MAX_HEADER_BYTES:
        return False
    if not (USUAL_NAMES.issuperset(names) or not b"".join(names).translate(None, _TOKEN)):
        return False
    return len(values.translate(None, _CONTROLS)) == len(values)


_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_TOKEN = b"!#$%&'*+-.^_`|~" + string.digits.encode() + string.ascii_lowercase.encode()
USUAL_NAMES = frozenset(
    {b"cache-control", b"connection", b"content-length", b"content-type", b"date", b"server", b"transfer-encoding"}
    | {b"x-accel-buffering", b"x-request-id"}
)
"""Tokens: the names that engines send with nearly every answer."""
