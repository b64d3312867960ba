"""The data plane's HTTP client: aiohttp's connections, pool and parser, without its requests and responses.

A request's head is written as the bytes that the client sent, so nothing is rewritten, re-encoded or added, and
building a request costs a third of what `ClientSession` takes. There is no cookie jar, no redirect, no proxy from the
environment and no decompression to switch off; response headers may be 64 KiB long, and idle connections are dropped
before vLLM's 5 s keep-alive closes them.
"""

import asyncio
import re
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiohttp import ClientRequest, ClientTimeout, StreamReader, TCPConnector
from aiohttp.client_exceptions import ClientConnectorError, ClientError, ClientOSError, ServerDisconnectedError
from aiohttp.connector import Connection
from aiohttp.helpers import TimerNoop
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from router.dial import Resolver
from router.workers import Worker

POOL_IDLE_S = 4.0
"""Below vLLM's 5 s: a connection that the worker is about to close must not be picked."""
DNS_TTL_S = 10
MAX_HEADER_BYTES = 65536
READ_BUFFER_BYTES = 1 << 18
"""Answer bytes held per request while the client is slower than the worker; then the worker is made to wait."""
MAX_DIALS = 10_000
ANNOUNCEMENTS = frozenset({100, 102, 103})
"""Statuses that do not answer yet."""
ANSWERS = range(200, 600)
"""Not 101: the router never asks for another protocol."""
UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What aiohttp accepts in a header's value, and uvicorn does not."""

_reused: ContextVar[bool] = ContextVar("reused")
_TIMER = TimerNoop()


class WorkerFailure(Exception):
    """The worker gave no answer. `kind` is a metric label: connect, connect_timeout, reset, protocol."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Outgoing(NamedTuple):
    """A request as it goes to a worker."""

    method: str
    target: bytes
    """Path and query as the client wrote them."""
    headers: bytes
    """Header lines, each with its CRLF; without host and content-length."""
    body: bytes | None
    """None for a request without a body."""


class WorkerResponse:
    """An answer whose headers have come. Its connection goes back to the pool by itself at the last byte; `close` at
    any other moment cuts it, which makes the worker stop working on the request."""

    __slots__ = ("_connection", "content", "content_type", "headers", "raw_headers", "status")

    def __init__(self, message: Any, payload: StreamReader, connection: Connection) -> None:
        self.status: int = message.code
        self.headers = message.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.content_type: str = message.headers.get("content-type", "")
        self.content = payload
        self._connection = connection
        payload.on_eof(self._release)

    def _release(self) -> None:
        transport = self._connection.transport
        if transport is None or transport.get_write_buffer_size():
            self._connection.close()  # answered before the request was out: its rest would be the next one's head
        else:
            self._connection.release()

    def close(self) -> None:
        """Cut the connection unless the answer is complete."""
        self._connection.close()


class _Connector(TCPConnector):
    """Notes whether the connection was used before: its failure is then no fault of the worker's."""

    async def connect(self, req: Any, traces: Any, timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109
        connection = await super().connect(req, traces, timeout)
        protocol: Any = connection.protocol
        _reused.set(getattr(protocol, "warmroute_used", False))
        protocol.warmroute_used = True
        return connection


class WorkerClient:
    """Sends requests to workers. An async context manager; one per process."""

    def __init__(self, connect_timeout_s: float, resolver: Resolver) -> None:
        self._resolver = resolver
        self._timeout = ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._dials: dict[str, tuple[ClientRequest, bytes]] = {}

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        names: dict[str, Any] = {"resolver": self._resolver, "ttl_dns_cache": DNS_TTL_S}
        self._pooled = _Connector(limit=0, keepalive_timeout=POOL_IDLE_S, **names)
        self._fresh = _Connector(limit=0, force_close=True, **names)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pooled.close()
        await self._fresh.close()

    async def send(self, worker: Worker, outgoing: Outgoing) -> WorkerResponse:
        """The worker's response, its headers read. Raises WorkerFailure.

        A reused connection that fails without a byte of response is tried once more on a fresh one."""
        try:
            return await self._send(self._pooled, worker, outgoing)
        except WorkerFailure as failure:
            if failure.kind != "reset" or not _reused.get(False):
                raise
        return await self._send(self._fresh, worker, outgoing)

    async def _send(self, connector: TCPConnector, worker: Worker, outgoing: Outgoing) -> WorkerResponse:
        dial, host = self._dial(worker)
        try:
            connection = await connector.connect(dial, [], self._timeout)
        except TimeoutError:
            raise WorkerFailure("connect_timeout") from None
        except (ClientConnectorError, OSError):
            raise WorkerFailure("connect") from None
        try:
            return await _converse(connection, host, outgoing)
        except (ServerDisconnectedError, ClientOSError, OSError):
            connection.close()
            raise WorkerFailure("reset") from None
        except (ClientError, HttpProcessingError):
            connection.close()
            raise WorkerFailure("protocol") from None
        except asyncio.CancelledError:
            connection.close()
            raise

    def _dial(self, worker: Worker) -> tuple[ClientRequest, bytes]:
        """What aiohttp's connector must know of a worker, and the head's part that is the same for every request."""
        dial = self._dials.get(worker.url)
        if dial is None:
            if len(self._dials) >= MAX_DIALS:
                self._dials.clear()
            url = URL(worker.url)
            request = ClientRequest("GET", url, loop=self._loop)
            prefix = url.raw_path.rstrip("/").encode()
            host = request.headers["host"].encode()
            dial = self._dials[worker.url] = (request, prefix + b"\0" + host)
        return dial


async def _converse(connection: Connection, host: bytes, outgoing: Outgoing) -> WorkerResponse:
    """Write the request and read the response's head."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise ServerDisconnectedError
    protocol.set_response_params(
        timer=_TIMER,
        skip_payload=outgoing.method == "HEAD",
        read_until_eof=True,
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    transport.write(head_of(host, outgoing))
    if outgoing.body:
        transport.write(outgoing.body)
    while True:
        message, payload = await protocol.read()
        if message.code not in ANNOUNCEMENTS:
            break
    if message.code not in ANSWERS or UNSENDABLE.search(b"".join(value for _, value in message.raw_headers)):
        raise ClientError("the worker's answer cannot be relayed")
    return WorkerResponse(message, payload, connection)


def head_of(host: bytes, outgoing: Outgoing) -> bytes:
    """Request line and headers. `host` is the worker's path prefix, a NUL, and its host."""
    prefix, _, name = host.partition(b"\0")
    body = outgoing.body
    length = b"" if body is None else b"content-length: %d\r\n" % len(body)
    method = outgoing.method.encode()
    return b"%s %s%s HTTP/1.1\r\nhost: %s\r\n%s%s\r\n" % (
        method,
        prefix,
        outgoing.target,
        name,
        outgoing.headers,
        length,
    )
