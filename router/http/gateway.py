"""The ASGI application in front: keys, limits, body, and which route answers. Bare ASGI: this is the hot path.

The control plane (health, metrics, models, admin) is another ASGI application behind it. This is the outermost
request boundary: whatever goes wrong inside, the client gets an answer in its API's style, and the request is logged
and counted.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from router.clients import Client, Clients
from router.clients.keys import KeySet
from router.http.loop import Loop, Way
from router.http.progress import Progress
from router.http.realtime import Handshake
from router.observe.access_log import AccessLog
from router.observe.faults import without_text
from router.observe.metrics import Instruments
from router.observe.record import RequestRecord
from router.observe.trace_context import TRACEPARENT, TraceContext
from router.relay.relay import Reply
from router.status.decisions import DecisionLog
from router.trace_file.writer import TraceFile
from router.wire.body import ClientGoneError, forget_body, read_body, whole_body
from router.wire.errors import ApiError
from router.wire.exchange import Exchange, Receive, Scope, Send
from router.wire.headers import RequestHeaders
from router.wire.limits import ClientError, limit_error
from router.wire.protocol import CYCLE
from router.wire.rights import check_query
from router.wire.routes import MODELS, Paths, canonical, is_own
from router.wire.watchdog import Stage, StageTimeoutError, Watch, Watchdog

MAX_CONTROL_BYTES = 1 << 16
"""Largest body for the control plane, which reads JSON on the event loop in 1 ms. `EXPLAIN` takes one as large as a
prompt request's."""
EXPLAIN = b"/admin/explain"
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""The accepted methods. Others mean tunnels, echoes or other protocols, and some servers do not know them."""
RawHeaders = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
log = logging.getLogger("warmroute")


class Tracer(Protocol):
    """The calls that tracing needs for each request. Never blocks, never fails."""

    def begin(self, raw_headers: list[tuple[bytes, bytes]]) -> TraceContext:
        """The request's trace context, from its headers. The worker gets it instead of the client's."""
        ...

    def end(self, record: RequestRecord) -> None:
        """The request has ended."""
        ...


class GatewayRules(msgspec.Struct, frozen=True):
    """Which requests are let in, and what workers get of them."""

    clients: Clients
    paths: Paths
    admin_keys: KeySet
    forward_credentials: bool
    """Pass the client's own Authorization on: only where the router has no keys of its own and no worker key."""
    worker_authorization: bytes
    """The Authorization that workers get instead; empty for none."""
    max_in_flight: int
    max_body_bytes: int
    body_timeout_s: float
    decision_headers: bool
    session_header: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How each kind of request is served."""

    prompts: Way[Reply]
    others: Way[Reply]
    realtime: Way[Handshake]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What the gateway hands requests to, and reports to."""

    loop: Loop
    ways: Ways
    control: App
    watchdog: Watchdog
    instruments: Instruments
    access_log: AccessLog
    trace_file: TraceFile
    tracing: Tracer | None
    decisions: DecisionLog


class Gateway:
    """The application that uvicorn serves."""

    def __init__(self, rules: GatewayRules, parts: GatewayParts) -> None:
        self._rules = rules
        self._loop = parts.loop
        self._ways = parts.ways
        self._control = parts.control
        self._watchdog = parts.watchdog
        self._instruments = parts.instruments
        self._access_log = parts.access_log
        self._trace_file = parts.trace_file
        self._tracing = parts.tracing
        self._decisions = parts.decisions
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an ASGI entry point."""
        raw_path: bytes = scope["raw_path"]
        path = canonical(raw_path)
        if is_own(raw_path) and path != MODELS:
            await self._serve_control(scope, receive, send)
            return
        scope["path"] = path or raw_path.decode("latin-1")
        if path == MODELS:
            await self._serve_control(scope, receive, send)
            return
        await self._serve(Exchange(scope, receive, scope.pop(CYCLE)), scope["headers"])

    async def _serve(self, exchange: Exchange, raw_headers: RawHeaders) -> None:
        progress, outcome = Progress(), "ok"
        self.in_flight += 1
        try:
            outcome = await self._answer(exchange, raw_headers, progress)
        except asyncio.CancelledError:
            outcome = "client_gone" if exchange.client_gone else "shutdown"
            if outcome == "shutdown":  # the drain time is over, and the client gets an error
                await self._fail(exchange, ApiError(503, "The router is shutting down.", outcome, retry_after_s=1))
        except ClientGoneError:
            outcome = "client_gone"
        except Exception as error:
            log.error("request %s failed inside the router", exchange.request_id, exc_info=without_text(error))
            outcome = "router_error"
            await self._fail(exchange, ApiError(500, "The router failed to handle this request."))
        finally:
            self.in_flight -= 1
            self._finish(progress, progress.record(exchange, outcome))

    async def _answer(self, exchange: Exchange, raw_headers: RawHeaders, progress: Progress) -> str:
        """Returns how it ended."""
        client: Client | None = None
        try:
            client = self._admit(exchange, raw_headers)
            if exchange.tunnel is not None:
                exchange.received_at = exchange.clock()
                return await self._loop.serve(exchange, self._ways.realtime, b"", progress)
            self._rules.paths.check(exchange.path, exchange.method)
            check_query(client, exchange.target)
            body = await self._read(exchange, self._rules.max_body_bytes)
            exchange.received_at = exchange.clock()
            way = self._ways.prompts if exchange.api else self._ways.others
            return await self._loop.serve(exchange, way, body, progress)
        except ApiError as error:
            forget_body(exchange.cycle)
            self._count_refused(exchange, error)
            await self._fail(exchange, error)
            return error.outcome
        finally:
            forget_body(exchange.cycle)
            if client is not None:
                client.leave()

    def _count_refused(self, exchange: Exchange, error: ApiError) -> None:
        if error.outcome != "refused":
            return
        self._instruments.client_errors.add(1, (str(error.status_in(exchange.style)),))
        if isinstance(error, ClientError) and exchange.client is not None:
            self._instruments.client_refusals.add(1, (exchange.client.label, error.reason))

    async def _fail(self, exchange: Exchange, error: ApiError) -> None:
        """Answer with an error; a client that reads nothing is cut, or its request would never end."""
        try:
            with self._watchdog.watch() as watch:
                watch.enter(Stage.CLIENT_STALL, self._rules.body_timeout_s)
                await exchange.fail(error)
        except StageTimeoutError:
            exchange.cut()

    def _admit(self, exchange: Exchange, raw_headers: RawHeaders) -> Client:
        """The request's client, which has entered and must leave. Raises ApiError."""
        rules = self._rules
        exchange.request_id = f"{random.getrandbits(128):032x}"
        headers = exchange.headers = RequestHeaders(raw_headers, rules.forward_credentials, rules.session_header)
        if rules.forward_credentials and rules.admin_keys:
            headers.forget_keys(rules.admin_keys.accepts)
        if self._tracing is not None:
            context = exchange.trace = self._tracing.begin(raw_headers)
            headers.replace(TRACEPARENT, context.header)
        if headers.request_id:
            exchange.request_id = headers.request_id.decode("latin-1")
        if not exchange.target.startswith(b"/"):  # `*@host` behind a worker's address would be another host
            raise ApiError(400, "The request target must be an absolute path.", "invalid_target")
        if exchange.method not in METHODS:
            raise ApiError(405, "This method is not served here.", "method_not_allowed")
        if headers.upgrade == b"websocket" and exchange.tunnel is None:
            raise ApiError(501, "WebSocket connections are served at GET /v1/realtime only.", "not_implemented")
        client = self._identify(exchange, headers.authorization)
        if self.in_flight > rules.max_in_flight:
            raise ApiError(503, "The router has too many requests in flight.", "overloaded", retry_after_s=1)
        if rules.worker_authorization:
            headers.forward.append((b"authorization", rules.worker_authorization))
        exchange.decision_headers = rules.decision_headers or (
            bool(rules.admin_keys) and rules.admin_keys.accepts(headers.admin_key)
        )
        if refusal := client.enter():
            raise limit_error(client, refusal)
        return client

    def _identify(self, exchange: Exchange, authorization: bytes) -> Client:
        client = self._rules.clients.find(authorization)
        if client is None:
            raise ApiError(401, "Incorrect API key provided.", "invalid_api_key")
        exchange.client = client
        if client.expired(time.time()):
            raise ClientError(401, "This API key has expired.", "expired_api_key", "expired")
        return client

    async def _read(self, exchange: Exchange, most: int) -> bytes:
        rules, cycle = self._rules, exchange.cycle
        if (body := whole_body(cycle, most)) is not None:
            return body
        try:
            with self._watchdog.watch() as watch:

                def progressed() -> None:
                    watch.enter(Stage.UPLOAD, rules.body_timeout_s)

                length = exchange.headers.content_length
                return await read_body(exchange.receive, length, most, cycle.held, progressed)
        except StageTimeoutError:
            raise ApiError(408, "The request body did not arrive in time.", "timeout") from None

    async def _serve_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The control plane would read any number of bytes before it asks for a key: so it gets an operator's body
        whole, and no byte of other bodies."""
        exchange = Exchange(scope, receive, scope.pop(CYCLE))
        try:
            headers = exchange.headers = RequestHeaders(scope["headers"], False)
            body = b""
            if self._is_operator(headers):
                most = self._rules.max_body_bytes
                body = await self._read(
                    exchange, most if scope["raw_path"] == EXPLAIN else min(most, MAX_CONTROL_BYTES)
                )
            else:
                forget_body(exchange.cycle)
            with self._watchdog.watch() as watch:
                await self._control(scope, _with_body(body, receive), self._watched(send, watch))
        except ApiError as error:
            await self._fail(exchange, error)
        except StageTimeoutError:
            exchange.cut()
        except ClientGoneError:
            pass
        except asyncio.CancelledError:
            if not exchange.client_gone:
                raise
        finally:
            forget_body(exchange.cycle)

    def _is_operator(self, headers: RequestHeaders) -> bool:
        keys = self._rules.admin_keys
        return bool(keys) and keys.accepts(headers.admin_key or headers.authorization)

    def _watched(self, send: Send, watch: Watch) -> Send:
        """`send` with a time limit for a client that reads nothing."""

        async def watched(message: dict[str, Any]) -> None:
            watch.enter(Stage.CLIENT_STALL, self._rules.body_timeout_s)
            await send(message)
            watch.rest()

        return watched

    def _finish(self, progress: Progress, record: RequestRecord) -> None:
        """Count, trace and log, whatever happened."""
        self._instruments.finished(record)
        if self._decisions.watched:
            self._decisions.finished(progress, record)
        if self._tracing is not None:
            self._tracing.end(record)
        if self._access_log.enabled:
            self._access_log.write(record)
        if self._trace_file.enabled:
            lesson = progress.lesson
            tokens = lesson.usage.prompt_tokens if lesson.usage is not None else None
            self._trace_file.write(record, progress.prompt, tokens, lesson.calls_tool)


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body in one piece, and then what else comes."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> dict[str, Any]:
        return messages.pop() if messages else await receive()

    return read
