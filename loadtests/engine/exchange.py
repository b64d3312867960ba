"""One HTTP request and its answer, with the fault that strikes it: handlers write plainly, faults happen here."""

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from loadtests.engine.connection import NTH_KEY, SCOPE_KEY, Connection
from loadtests.engine.errors import Refused
from loadtests.engine.faults import NO_FAULT, Fault

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]
EVENTS: Headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
_ENDING = ("hang_after", "close_mid_stream", "reset_mid_stream", "cut_frame", "error_event")
"""Faults that end an answer after some chunks."""
_UNKNOWN_LENGTH = (*_ENDING, "gzip", "comments_first")


class Cut(Exception):
    """A fault has ended the answer, or the client has left: nothing more can be written."""


class Exchange:
    """A request as read, and the means to answer it once."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.target: str = scope["raw_path"].decode("latin-1") + (f"?{self.query}" if self.query else "")
        """Path and query, as the client wrote them."""
        self.headers: Headers = scope["headers"]
        self.connection: Connection = scope["extensions"][SCOPE_KEY]
        self.nth_request: int = scope["extensions"][NTH_KEY]
        """Which request of its connection this is, from 1."""
        self.body = b""
        self.fault = NO_FAULT
        self._receive, self._send = receive, send
        self._chunks = 0
        self._gzip: Any = None

    def header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)

    async def read(self) -> None:
        """Read the whole body. Raises Cut if the client leaves before its end."""
        parts, more = [], True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Cut
            parts.append(message["body"])
            more = message["more_body"]
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises Refused(400)."""
        if "json" not in (self.header(b"content-type") or ""):
            raise Refused(400, "Unsupported Media Type: Only 'application/json' is allowed")
        try:
            body = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Refused(400, f"The body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "The body must be a JSON object")
        return body

    async def strike(self, fault: Fault) -> None:
        """Let the fault loose on this exchange. Raises Cut if it leaves nothing to answer."""
        self.fault = fault
        if fault.status:
            raise Refused(fault.status, "a fault was asked for")
        if fault.kind == "redirect":
            await self.answer(307, b"", [(b"location", b"/redirected")])
        elif fault.kind == "hang_before":
            await self.connection.until_lost()
        elif fault.kind == "drop_keepalive":
            await self.connection.close()
        elif fault.kind == "reset":
            await self.connection.reset()
        else:
            return
        raise Cut

    async def answer(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = JSON) -> None:
        """The whole answer at once; a fault that strikes streams strikes its one chunk."""
        length = [] if self.fault.kind in _UNKNOWN_LENGTH else [(b"content-length", b"%d" % len(body))]
        await self.start(status, [*headers, *length])
        await self.end(body)

    async def start(self, status: int, headers: Headers) -> None:
        if self.fault is not NO_FAULT:
            headers = [*headers, *self._fault_headers()]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if self.fault.kind == "hang_headers":
            await self.connection.until_lost()
        if self.fault.kind == "comments_first":
            await self._write(b": keep-alive\n\n")
            await self._write(b": keep-alive\n\n")

    async def chunk(self, data: bytes) -> None:
        """Send a chunk. Raises Cut when nothing more can be sent."""
        if not data:
            return
        if self.connection.is_lost:
            raise Cut
        if self.fault is not NO_FAULT:
            await self._misbehave(data)
        self._chunks += 1
        await self._write(data)

    async def end(self, data: bytes = b"") -> None:
        """The end, with the last chunk if there is one left."""
        if self.fault is not NO_FAULT:
            await self.chunk(data)
            data = self._gzip.flush() if self._gzip else b""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _write(self, data: bytes) -> None:
        if self._gzip:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _misbehave(self, data: bytes) -> None:
        fault = self.fault
        if fault.kind == "slow":
            await asyncio.sleep(fault.delay_s)
        if self._chunks < fault.after_chunks or fault.kind not in _ENDING:
            return
        if fault.kind == "hang_after":
            await self.connection.until_lost()
        elif fault.kind == "reset_mid_stream":
            await self.connection.reset()
        elif fault.kind == "error_event":
            error = {"error": {"message": "a fault was asked for", "type": "InternalServerError", "code": 500}}
            last = b"data: %s\n\ndata: [DONE]\n\n" % msgspec.json.encode(error)
            await self._send({"type": "http.response.body", "body": last, "more_body": False})
        else:
            if fault.kind == "cut_frame":
                await self._write(data[: len(data) // 2])
            await self.connection.close()
        raise Cut

    def _fault_headers(self) -> Headers:
        if self.fault.kind == "cookie":
            return [(b"set-cookie", b"tenant=one; Path=/")]
        if self.fault.kind == "large_headers":
            return [(b"x-large", b"x" * 32_768)]
        if self.fault.retry_after is not None:
            return [(b"retry-after", self.fault.retry_after.encode())]
        if self.fault.kind == "gzip":
            self._gzip = zlib.compressobj(wbits=31)
            return [(b"content-encoding", b"gzip")]
        return []
