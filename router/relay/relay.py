"""Sends a request to the chosen worker and relays its answer as it comes; tries another worker while no byte has come.

The response start is held until the first byte that engines send after prefill (status, keep-alives come before it).
After it nothing is retried: a worker that dies then ends the stream with an error event, never silently.
"""

import re
from collections.abc import Awaitable, Callable, Collection

import msgspec
from aiohttp.client_exceptions import ClientError

from router.fleet.breaker import Fault, fault_of_status
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.observe.metrics import Instruments
from router.relay.retry import RetryBudget
from router.relay.worker_answer import WorkerAnswer
from router.relay.worker_client import OWN, Outgoing, WorkerClient, WorkerFailure
from router.routing.decide import NoWorkerError
from router.routing.prompt_record import Passage
from router.wire.errors import ApiError, exhausted
from router.wire.exchange import EVENT_STREAM, Exchange
from router.wire.headers import response_headers
from router.wire.limits import limit_headers
from router.wire.redirects import check_redirect
from router.wire.watchdog import Stage, StageTimeoutError, Watch, Watchdog
from router.wire.writing import write_chunk

RETRIED_STATUS = frozenset({500, 502, 503, 504})
MAX_HELD_BYTES = 1 << 20
"""Of what comes before the first byte; more than this, and it is let through."""
PREAMBLE = (b":", b"event: response.created\n", b"event: response.queued\n", b"event: response.in_progress\n")
_FRAME_END = re.compile(rb"\r?\n\r?\n")

FAULTS = {
    "connect": Fault.CONNECT,
    "connect_timeout": Fault.TIMEOUT,
    "reset": Fault.RESET,
    "worker_died": Fault.RESET,
    "silence_timeout": Fault.SILENT,
    "first_byte_timeout": Fault.TIMEOUT,
    "status_503": Fault.SATURATED,
}
"""What a failed attempt says of the worker; anything else is an ERROR."""


class Choice(msgspec.Struct):
    """One attempt: where the request goes, the lease that counts it, and what the index records."""

    worker: Worker
    lease: Lease
    passage: Passage | None
    prefill_s: float
    """Estimated time until prefill is done; confirms the prompt of an answer that comes in one piece."""
    body: bytes | None = None
    """What this worker gets in place of the client's body."""
    format: str = ""
    """The worker's, when it was chosen: another engine may be there before the answer's end."""

    def computed(self) -> None:
        """Prefill is done there."""
        self.lease.first_byte()
        if self.passage is not None:
            self.passage.computed()

    def failed(self) -> None:
        """Nothing was computed."""
        if self.passage is not None:
            self.passage.failed()

    def blame(self, kind: str) -> str:
        """The worker failed this attempt. Returns `kind`."""
        self.worker.breaker.failure(FAULTS.get(kind, Fault.ERROR))
        self.worker.suspect()
        return kind


Choose = Callable[[Collection[Worker]], Awaitable[Choice]]
"""Chooses a worker that is not among the given (failed) ones. Raises NoWorkerError."""


class RelayLimits(msgspec.Struct, frozen=True):
    """Seconds."""

    first_byte_s: float
    silence_s: float
    write_s: float


class Relay:
    """The way of one request to a worker and back. Stateless between requests but for the retry budget."""

    def __init__(
        self,
        client: WorkerClient,
        watchdog: Watchdog,
        limits: RelayLimits,
        budget: RetryBudget,
        instruments: Instruments,
    ) -> None:
        self._client = client
        self._watchdog = watchdog
        self._limits = limits
        self._budget = budget
        self._instruments = instruments

    async def run(
        self, exchange: Exchange, body: bytes | None, choose: Choose, dispatched: Callable[[Choice], None]
    ) -> None:
        """Attempt until a worker answers. Raises ApiError when none does. `dispatched` is called for each attempt."""
        failed = exchange.failed
        kind = ""
        self._budget.request()
        while True:
            try:
                choice = await choose(failed)
            except NoWorkerError:
                raise _gave_up(exchange, kind) from None
            if kind:
                self._budget.spend(kind)
                self._instruments.retries.add(1, (kind,))
            exchange.worker = choice.worker
            exchange.attempts += 1
            choice.worker.breaker.begin()
            kind = await self._attempt(exchange, body, choice, dispatched)
            if not kind:
                return
            failed.append(choice.worker)
            if not self._budget.allows(kind, exchange.attempts):
                raise _gave_up(exchange, kind)

    async def _attempt(
        self, exchange: Exchange, body: bytes | None, choice: Choice, dispatched: Callable[[Choice], None]
    ) -> str:
        """One attempt. Returns what kept it from a first byte, or "" when it was answered."""
        worker = choice.worker
        response: WorkerAnswer | None = None
        try:
            with self._watchdog.watch() as watch, choice.lease:
                watch.enter(Stage.FIRST_BYTE, self._limits.first_byte_s)
                dispatched(choice)
                exchange.dispatched_at = exchange.dispatched_at or exchange.clock()
                sent = body if choice.body is None else choice.body
                response = await self._client.send(worker, _outgoing(exchange, sent))
                first = await _first_bytes(response)
                if response.status in RETRIED_STATUS and self._may_retry(exchange, response.status):
                    return choice.blame(f"status_{response.status}")
                await self._relay(exchange, choice, response, first, watch)
                return ""
        except WorkerFailure as failure:
            if failure.kind == OWN:
                exchange.outcome = "router_error"
                raise exhausted() from None
            return choice.blame(failure.kind)
        except (ClientError, OSError):
            if not exchange.started:
                return choice.blame("reset")
            await self._broken(exchange, choice, "worker_died", "The worker stopped in the middle of its answer.")
            return ""
        except StageTimeoutError as timeout:
            return await self._late(exchange, choice, timeout.stage)
        finally:
            if not exchange.started:
                choice.failed()
                choice.worker.breaker.abandon()
            if response is not None:
                response.close()

    def _may_retry(self, exchange: Exchange, status: int) -> bool:
        return self._budget.allows(f"status_{status}", exchange.attempts) and exchange.others_available()

    async def _late(self, exchange: Exchange, choice: Choice, stage: Stage) -> str:
        if stage is Stage.FIRST_BYTE and not exchange.started:
            return choice.blame("first_byte_timeout")
        if stage is Stage.CLIENT_STALL:
            exchange.outcome = "client_stalled"
            exchange.cut()
            return ""
        await self._broken(exchange, choice, "silence_timeout", "The worker fell silent in the middle of its answer.")
        return ""

    async def _broken(self, exchange: Exchange, choice: Choice, outcome: str, message: str) -> None:
        exchange.outcome = outcome
        choice.blame(outcome)
        try:
            with self._watchdog.watch() as watch:
                watch.enter(Stage.CLIENT_STALL, self._limits.write_s)
                await exchange.break_off(message)
        except StageTimeoutError:
            exchange.cut()

    async def _relay(
        self, exchange: Exchange, choice: Choice, response: WorkerAnswer, first: bytes, watch: Watch
    ) -> None:
        status = response.status
        check_redirect(exchange, status)
        exchange.first_byte_at = exchange.clock()
        if status >= 400:
            choice.failed()
        else:
            choice.computed()
        self._judge(choice.worker, status)
        headers = response_headers(response.headers, status)
        declared = {name for name, _ in headers}
        exchange.content_type = response.header(b"content-type")
        exchange.extensible = exchange.streams and declared.isdisjoint((b"content-length", b"content-encoding"))
        headers.extend(own_headers(exchange, choice, b"x-request-id" in declared))
        if exchange.cycle.flow.write_paused:
            watch.enter(Stage.CLIENT_STALL, self._limits.write_s)
        exchange.start(status, headers)
        await self._relay_body(exchange, response, first, watch)
        choice.worker.breaker.whole()

    async def _relay_body(self, exchange: Exchange, response: WorkerAnswer, first: bytes, watch: Watch) -> None:
        """Chunk by chunk, as they come: written where they are read, as long as the client keeps up."""
        cycle, clock, keep = exchange.cycle, exchange.clock, exchange.answer.add
        gaps = self._instruments.inter_token.series((exchange.model,)) if exchange.streams else None
        silence_s = self._limits.silence_s
        now = exchange.first_byte_at

        def came(chunk: bytes) -> None:
            nonlocal now
            before, now = now, clock()
            if gaps is not None:
                gaps.observe(now - before)
            keep(chunk)
            watch.extend(Stage.SILENCE, now + silence_s)

        def pass_on(chunk: bytes) -> bool:
            """This runs for every token."""
            if not write_chunk(cycle, chunk):
                return False
            came(chunk)
            return True

        chunk, more = first, not response.ended
        keep(chunk)
        while True:
            if not (more and exchange.head_is_out and write_chunk(cycle, chunk)):
                watch.enter(Stage.CLIENT_STALL, self._limits.write_s)
                await exchange.body(chunk, more)
                now = clock()  # for as long as the client kept it waiting, the worker was not silent
            if not more:
                return
            watch.extend(Stage.SILENCE, now + silence_s)
            chunk = await response.read(pass_on)
            came(chunk)
            more = not response.ended

    @staticmethod
    def _judge(worker: Worker, status: int) -> None:
        fault = fault_of_status(status)
        if fault is None:
            worker.breaker.success()
        else:
            worker.breaker.failure(fault)


def own_headers(exchange: Exchange, choice: Choice, echoed: bool) -> list[tuple[bytes, bytes]]:
    """The request id where the worker did not echo it, and the decision where clients may see it."""
    own = [] if echoed else [(b"x-request-id", exchange.request_id.encode("latin-1"))]
    if exchange.client is not None:
        own += limit_headers(exchange.client)
    if exchange.decision_headers:
        own.append((b"x-warmroute-worker", choice.worker.id.encode()))
        own.append((b"x-warmroute-reason", exchange.reason.encode()))
        if choice.passage is not None:
            own.append((b"x-warmroute-prompt-tokens", b"%d" % choice.passage.prompt.tokens))
            own.append((b"x-warmroute-cached-tokens", b"%d" % choice.passage.predicted_tokens))
    return own


async def _first_bytes(response: WorkerAnswer) -> bytes:
    """Everything up to and including the first chunk that engines send after prefill; b"" for an empty body."""
    first = await response.read()
    if first[:1] not in (b":", b"e") or not response.header(b"content-type").startswith(EVENT_STREAM):
        return first
    preamble = Preamble()
    held, held_bytes, chunk = [first], len(first), first
    while preamble.goes_on(chunk) and held_bytes < MAX_HELD_BYTES and not response.ended:
        chunk = await response.read()
        held.append(chunk)
        held_bytes += len(chunk)
    return b"".join(held)


class Preamble:
    """Is the beginning of an SSE stream nothing but what engines send before prefill: comments (keep-alives), and the
    events with which the Responses API announces a response? Each byte is looked at once, however it is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def goes_on(self, chunk: bytes) -> bool:
        """Is it still, with the next chunk?"""
        *frames, last = _FRAME_END.split(self._rest + chunk)
        inside = last.startswith(PREAMBLE)
        self._rest = b":" + last[-3:] if inside else last  # of the frame that goes on, what its end may begin with
        cut_off = any(announced.startswith(last) for announced in PREAMBLE)
        return all(frame.startswith(PREAMBLE) for frame in frames) and (cut_off or inside)


def _outgoing(exchange: Exchange, body: bytes | None) -> Outgoing:
    """The request of this attempt. Its id is the client's own at first, then a fresh one, since an engine may refuse to
    run two requests of one id."""
    request_id = exchange.request_id.encode("latin-1")
    if exchange.attempts > 1:
        request_id += b"-%d" % exchange.attempts
    headers = [*exchange.headers.forward, (b"x-request-id", request_id)]
    if body is None and exchange.headers.has_body:
        body = b""
    return Outgoing(exchange.method, exchange.target, headers, body)


def _gave_up(exchange: Exchange, kind: str) -> ApiError:
    exchange.outcome = "no_worker" if not kind else "worker_failed"
    if not kind:
        return ApiError(503, "No healthy worker serves this request at the moment.", "no_worker", retry_after_s=1)
    if kind == "first_byte_timeout":
        return ApiError(504, "The worker did not answer in time.", "worker_timeout")
    return ApiError(502, "No worker could answer this request.", "worker_failed", retry_after_s=1)
