"""The data plane's HTTP client: aiohttp's dialling, without its requests, its responses and its pool.

A request's head is written from the client's own headers (`request_head`), so nothing is re-encoded or added, and
building a request costs a third of what `ClientSession` takes. There is no cookie jar, no redirect, no proxy from the
environment and no decompression to switch off; response headers may be 64 KiB long, and idle connections are dropped
before vLLM's 5 s keep-alive closes them (`idle.py`).
"""

import asyncio
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_exceptions import ClientConnectorError, ClientError
from aiohttp.connector import Connection
from yarl import URL

from router.dial.certificates import WorkerTls
from router.dial.own_faults import is_own_fault
from router.dial.resolver import Resolver
from router.fleet.worker import Worker
from router.relay.idle import IdleConnections
from router.relay.worker_answer import WorkerAnswer, WorkerConnection
from router.wire.request_head import Headers, body_length, request_head

CONNECT_TIMEOUT_S = 5.0
"""Seconds to open a connection: a packet lost twice still gets through (1 and 3 s). A retry follows, on another worker.
Danger: shorter, and a full accept queue looks like a dead worker."""
DNS_TTL_S = 10
MAX_DIALS = 10_000
OWN = "own"


class WorkerFailure(Exception):
    """The worker gave no answer. `kind` is a metric label: connect, connect_timeout, reset, protocol; or OWN, which is
    no fault of the worker's."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Outgoing(NamedTuple):
    """A request as it goes to a worker."""

    method: str
    target: bytes
    """Path and query as the client wrote them."""
    headers: Headers
    """Without host and content-length."""
    body: bytes | None
    """None for a request without a body."""


class WorkerClient:
    """Sends requests to workers. An async context manager; one per process."""

    def __init__(self, connect_timeout_s: float, resolver: Resolver, tls: WorkerTls) -> None:
        self._resolver = resolver
        self._tls = tls
        self._timeout = ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._dials: dict[str, tuple[ClientRequest, bytes]] = {}

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._idle = IdleConnections(self._loop)
        self._connector = TCPConnector(limit=0, force_close=True, resolver=self._resolver, ttl_dns_cache=DNS_TTL_S)
        self._connector._factory = partial(WorkerConnection, self._loop)  # type: ignore[assignment]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._idle.close()
        await self._connector.close()

    async def send(self, worker: Worker, outgoing: Outgoing) -> WorkerAnswer:
        """The worker's answer, its head read. Raises WorkerFailure.

        A reused connection that fails without a byte of response is tried once more on a fresh one."""
        dial, host = self._dial(worker)
        head, url = head_of(host, outgoing), worker.url
        connection = self._idle.take(url)
        if connection is not None:
            try:
                return await self._converse(connection, url, head, outgoing)
            except WorkerFailure as failure:
                if failure.kind != "reset":
                    raise
        return await self._converse(await self._connect(dial), url, head, outgoing)

    async def _connect(self, dial: ClientRequest) -> Connection:
        try:
            return await self._connector.connect(dial, [], self._timeout)
        except TimeoutError:
            raise WorkerFailure("connect_timeout") from None
        except (ClientConnectorError, OSError) as error:
            raise WorkerFailure(OWN if is_own_fault(error) else "connect") from None

    def _dial(self, worker: Worker) -> tuple[ClientRequest, bytes]:
        """What aiohttp's connector must know of a worker, and the head's part that is the same for every request."""
        dial = self._dials.get(worker.url)
        if dial is None:
            if len(self._dials) >= MAX_DIALS:
                self._dials.clear()
            url = URL(worker.url)
            name = self._tls.server_name(url.host or "") if url.scheme == "https" else None
            request = ClientRequest("GET", url, loop=self._loop, ssl=self._tls.context, server_hostname=name)
            prefix = url.raw_path.rstrip("/").encode()
            host = request.headers["host"].encode()
            dial = self._dials[worker.url] = (request, prefix + b"\0" + host)
        return dial

    async def _converse(self, connection: Connection, url: str, head: bytes, outgoing: Outgoing) -> WorkerAnswer:
        """Write the request and read the answer's head. Raises WorkerFailure."""
        protocol, transport, cut = connection.protocol, connection.transport, connection.close
        try:
            if not isinstance(protocol, WorkerConnection) or transport is None or transport.is_closing():
                raise ConnectionResetError
            answer = protocol.expect(outgoing.method == "HEAD", partial(self._release, url, connection), cut)
            cut = answer.close  # the connection may be another request's as soon as the answer is complete
            transport.writelines((head, outgoing.body) if outgoing.body else (head,))
            await answer.head()
        except OSError:
            cut()
            raise WorkerFailure("reset") from None
        except ClientError:
            cut()
            raise WorkerFailure("protocol") from None
        except asyncio.CancelledError:
            cut()
            raise
        return answer

    def _release(self, url: str, connection: Connection) -> None:
        """The answer is complete: the connection may wait for another request."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.get_write_buffer_size() or protocol.should_close:
            connection.close()  # answered before the request was out: its rest would be the next one's head
        else:
            self._idle.give(url, connection)


def head_of(host: bytes, outgoing: Outgoing) -> bytes:
    """Request line and headers. `host` is the worker's path prefix, a NUL, and its host. Raises ApiError 400."""
    prefix, _, name = host.partition(b"\0")
    line = (outgoing.method.encode(), prefix, outgoing.target)
    return request_head(line, name, outgoing.headers, body_length(outgoing.body))
