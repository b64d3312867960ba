"""`/v1/realtime`: a WebSocket goes to the least loaded worker of its model, and both directions are relayed as bytes.

A session is a lease, from the handshake to its last byte. The handshake may go to another worker when one fails; after
it nothing is retried. A session that is idle too long, or whose worker or router has been draining for a while, is
closed with 1001 (going away), at the end of a frame: clients connect again, and reach another worker.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from yarl import URL

from router.clients import Client
from router.dial.certificates import WorkerTls
from router.dial.own_faults import is_own_fault
from router.dial.resolver import Resolver
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.relay.attempt import Attempt
from router.relay.retry import AttemptOutcome, answered
from router.relay.session import RealtimeSession
from router.routing.asked import Asked
from router.wire.errors import ApiError, check_redirect, exhausted
from router.wire.exchange import Exchange
from router.wire.headers import BODYLESS, DROPPED_FROM_ANSWER, response_headers
from router.wire.limits import ClientError, model_error
from router.wire.request_head import UPGRADE, request_head

TICK_S = 0.5
HANDSHAKE_S = 30.0
"""Seconds for a worker to answer a handshake, for which it computes nothing."""
IDLE_S = 300.0
"""A session on which nothing passes for this many seconds is closed: its client may be gone without a word, and the
lease would stay for ever. Audio sessions send several messages a second."""
DRAIN_S = 30.0
"""Seconds after its worker or the router began to drain at which a session is closed with 1001, so that its client
connects to another. A session has no end of its own to wait for."""
LINGER_S = 2.0
"""Seconds for a worker to read the last bytes that were sent to it."""
MAX_HEAD_BYTES = 65536
MAX_REFUSAL_BYTES = 65536
SWITCHING = 101
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")


class RealtimeLimits(msgspec.Struct, frozen=True):
    """Seconds."""

    connect_s: float
    handshake_s: float
    idle_s: float
    drain_s: float


class Handshake(NamedTuple):
    """A worker's answer to the handshake."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    """Of a refusal."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def hang_up(self) -> None:
        """End the connection, after a moment for the worker to take what was sent to it last."""
        self.writer.close()
        asyncio.get_running_loop().call_later(LINGER_S, self.writer.transport.abort)


class HandshakeError(Exception):
    """The worker did not answer the handshake. `kind` says why, as the relay's failures do."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class RealtimeRoute:
    """Reads a handshake."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def read(self, exchange: Exchange, body: bytes) -> Asked:
        """Which model is meant. Raises ApiError."""
        query = exchange.target.partition(b"?")[2].decode("latin-1")
        named = parse_qs(query, keep_blank_values=True).get("model", [""])
        if len(named) > 1:  # which of them counts would be the engine's choice
            raise ApiError(400, "The query must name one model, once.", "invalid_request", "model")
        model = named[0]
        if exchange.client is not None:
            self._check_rights(exchange.client, model)
        group = self._fleet.group(model) if model else self._fleet.everyone
        if group is None:
            raise ApiError(404, "The model does not exist here.", "model_not_found", "model")
        return Asked(group=group, model=model, client=exchange.client, session=exchange.headers.session)

    def _check_rights(self, client: Client, model: str) -> None:
        """A session names its model again in its first event, and its tokens are not reported: the router reads
        neither. Raises ClientError unless the client may use all models of the fleet, without a limit on tokens."""
        if client.spec.uncached_tokens_per_minute is not None:
            raise ClientError(403, f"{client.label} has a limit on tokens.", "path_not_allowed", "path")
        if client.spec.models is not None and not (
            client.may_use(model) and all(map(client.may_use, self._fleet.groups))
        ):
            raise model_error(client)


class Sessions:
    """Carries handshakes to workers, and then what both sides say."""

    def __init__(self, dialer: "Dialer", limits: RealtimeLimits, draining: Callable[[], bool]) -> None:
        self._dialer = dialer
        self._limits = limits
        self._draining = draining

    async def ask(self, exchange: Exchange, attempt: Attempt) -> AttemptOutcome[Handshake]:
        """Ask for the session. Raises ApiError for what is no worker's fault."""
        try:
            handshake = await self._dialer.ask(attempt.worker, exchange)
        except HandshakeError as error:
            return AttemptOutcome(error.kind)
        attempt.hang_up = handshake.hang_up
        return answered(handshake.status, handshake)

    async def relay(self, exchange: Exchange, attempt: Attempt, reply: Handshake) -> AttemptOutcome[Handshake]:
        """Relay the session until one side ends, or the worker's refusal. Raises UnservedError for a redirect."""
        check_redirect(reply.status)
        attempt.answered(reply.status)
        if reply.status != SWITCHING:
            await _refuse(exchange, reply)
            return AttemptOutcome()
        assert exchange.tunnel is not None
        exchange.tunnel.begin(_head(exchange, reply.headers))
        exchange.switch()
        session = RealtimeSession(exchange.tunnel, reply.reader, reply.writer)
        return AttemptOutcome(note=await self._session(session, attempt.worker))

    async def _session(self, session: RealtimeSession, worker: Worker) -> str:
        """Relay until one side ends, or has to. Returns the outcome."""
        drained_at: float | None = None
        async with session:
            while not await session.ended(TICK_S):
                now = session.clock()
                if now - session.last > self._limits.idle_s:
                    return "idle"
                if not (worker.draining or self._draining()):
                    drained_at = None
                elif drained_at is None:
                    drained_at = now
                if drained_at is not None and now - drained_at >= self._limits.drain_s:
                    return "drained"
        return session.outcome


class Dialer:
    """Opens a connection to a worker, to an address that is allowed, and asks for the upgrade."""

    def __init__(self, resolver: Resolver, limits: RealtimeLimits, tls: WorkerTls) -> None:
        self._resolver = resolver
        self._limits = limits
        self._tls = tls

    async def ask(self, worker: Worker, exchange: Exchange) -> Handshake:
        """The worker's answer to the client's handshake. Raises HandshakeError, and ApiError as `request_head` does."""
        url = URL(worker.url)
        request = _request(url, worker, exchange)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                reader, writer = await self._connect(url)
        except TimeoutError:
            raise HandshakeError("connect_timeout") from None
        except (OSError, ssl.SSLError) as error:
            if is_own_fault(error):
                raise exhausted() from None
            raise HandshakeError("connect") from None
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                writer.write(request)
                status, headers = _read_head(await reader.readuntil(b"\r\n\r\n"))
                body = b"" if status == SWITCHING else await _refusal(status, headers, reader)
        except BaseException as error:
            writer.transport.abort()
            if isinstance(error, TimeoutError):
                raise HandshakeError("handshake_timeout") from None
            if isinstance(error, OSError | ValueError | asyncio.IncompleteReadError | asyncio.LimitOverrunError):
                raise HandshakeError("reset") from None
            raise
        return Handshake(status, headers, body, reader, writer)

    async def _connect(self, url: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = url.host or "", url.port or 0
        secure = self._tls.context if url.scheme == "https" else None
        name = self._tls.server_name(host) if secure else None
        failure: OSError = OSError("no address")
        for address in await self._resolver.addresses(host, port):
            try:
                return await asyncio.open_connection(
                    address, port, ssl=secure, server_hostname=name, limit=MAX_HEAD_BYTES
                )
            except OSError as error:
                failure = error
        raise failure


def _request(url: URL, worker: Worker, exchange: Exchange) -> bytes:
    host = url.raw_authority.encode()
    prefix = url.raw_path.rstrip("/").encode()
    headers = [*exchange.headers.forward, *worker.rank_header, (b"x-request-id", exchange.request_id.encode("latin-1"))]
    return request_head((b"GET", prefix, exchange.target), host, headers, UPGRADE)


def _read_head(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers. ValueError when it is no head of an answer."""
    first, *lines = head[:-4].split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise ValueError("no HTTP answer")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line):
            raise ValueError("no HTTP header")
        headers.append((name.lower(), value.strip()))
    return int(status[1]), headers


def _head(exchange: Exchange, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The client's 101, with the worker's own headers."""
    kept = [(name, value) for name, value in headers if name not in DROPPED_FROM_ANSWER]
    if not any(name == b"x-request-id" for name, _ in kept):
        kept.append((b"x-request-id", exchange.request_id.encode("latin-1")))
    lines = b"".join(b"%s: %s\r\n" % pair for pair in kept)
    return b"HTTP/1.1 101 Switching Protocols\r\n" + UPGRADE + lines + b"\r\n"


async def _refusal(status: int, headers: list[tuple[bytes, bytes]], reader: asyncio.StreamReader) -> bytes:
    """The body of an answer that is no agreement, or its beginning; nothing of one in chunks. ValueError for none that
    could be the last answer."""
    if status < HTTPStatus.OK:
        raise ValueError("no final answer")
    fields = dict(headers)
    if status in BODYLESS or b"transfer-encoding" in fields:
        return b""
    length = fields.get(b"content-length", b"")
    wanted = min(int(length), MAX_REFUSAL_BYTES) if length.isdigit() and len(length) < 20 else MAX_REFUSAL_BYTES
    body = b""
    while len(body) < wanted and (chunk := await reader.read(wanted - len(body))):
        body += chunk
    return body


async def _refuse(exchange: Exchange, answer: Handshake) -> None:
    """The worker did not agree: its answer is the client's."""
    headers = [pair for pair in response_headers(answer.headers, answer.status) if pair[0] != b"content-length"]
    if answer.status not in BODYLESS:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    exchange.start(answer.status, headers)
    await exchange.body(answer.body, False)
