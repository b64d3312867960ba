"""Sends a request to the chosen worker and relays its answer as it comes.

The response start is held until the first byte that engines send after prefill (status, keep-alives come before it).
After it nothing is retried (`retry.py`): a worker that dies then ends the stream with an error event, never silently.
"""

import re
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from aiohttp.client_exceptions import ClientError

from router.observe.instruments import Histogram, Series
from router.relay.attempt import Attempt
from router.relay.retry import AttemptOutcome, answered
from router.relay.usage_out import UsageOut
from router.relay.worker_answer import WorkerAnswer
from router.relay.worker_client import OWN, Outgoing, WorkerClient, WorkerFailure
from router.wire.errors import check_redirect, exhausted, told_late
from router.wire.exchange import Exchange
from router.wire.headers import response_headers
from router.wire.limits import limit_headers
from router.wire.watchdog import Stage, StageTimeoutError, Watch, Watchdog
from router.wire.writing import can_write, write_chunk

EVENT_STREAM = "text/event-stream"
MAX_HELD_BYTES = 1 << 20
"""Bytes held before the first byte of the answer; when more come, they are passed on."""
PREAMBLE = (b":", b"event: response.created\n", b"event: response.queued\n", b"event: response.in_progress\n")
_FRAME_END = re.compile(rb"\r?\n\r?\n")


class Reply(NamedTuple):
    """A worker's answer, of which the first bytes were read."""

    answer: WorkerAnswer
    first: bytes


class Streamed(NamedTuple):
    """What is done with each chunk of a stream beside passing it on."""

    gaps: Series
    """Measures the time between two of them."""
    hidden: UsageOut | None
    """Takes out what the client did not ask for."""


class RelayLimits(msgspec.Struct, frozen=True):
    """Seconds."""

    first_byte_s: float
    silence_s: float
    write_s: float


class Relay:
    """Relays requests to workers and answers back. Stateless between requests."""

    def __init__(self, client: WorkerClient, watchdog: Watchdog, limits: RelayLimits, inter_token: Histogram) -> None:
        self._client = client
        self._watchdog = watchdog
        self._limits = limits
        self._inter_token = inter_token

    async def ask(self, exchange: Exchange, attempt: Attempt) -> AttemptOutcome[Reply]:
        """Send the request, and hold the answer until its first byte. Raises ApiError for what is no worker's fault."""
        try:
            with self._watchdog.watch() as watch:
                watch.enter(Stage.FIRST_BYTE, self._limits.first_byte_s)
                answer = await self._client.send(attempt.worker, _outgoing(exchange, attempt))
                attempt.hang_up = answer.close
                first = await _first_bytes(answer)
        except WorkerFailure as failure:
            if failure.kind == OWN:
                raise exhausted() from None
            return AttemptOutcome(failure.kind)
        except (ClientError, OSError):
            return AttemptOutcome("reset")
        except StageTimeoutError:
            return AttemptOutcome("first_byte_timeout")
        return answered(answer.status, Reply(answer, first), exchange.clock())

    async def relay(self, exchange: Exchange, attempt: Attempt, reply: Reply) -> AttemptOutcome[Reply]:
        """Pass the answer on as it comes. Raises UnservedError for a redirect, and for what does not fit behind a head
        that was sent early."""
        check_redirect(reply.answer.status)
        if exchange.early and not _fits_late(reply.answer):
            attempt.answered(reply.answer.status)
            raise told_late(reply.answer.status, reply.first)
        try:
            with self._watchdog.watch() as watch:
                streams = _open(exchange, attempt, reply.answer)
                await self._relay_body(exchange, reply, watch, self._streamed(exchange, attempt) if streams else None)
        except (ClientError, OSError):
            return AttemptOutcome("worker_died", started=True)
        except StageTimeoutError as timeout:
            if timeout.stage is Stage.CLIENT_STALL:
                exchange.cut()
                return AttemptOutcome(note="client_stalled")
            return AttemptOutcome("silence_timeout", started=True)
        attempt.worker.breaker.whole()
        return AttemptOutcome()

    def _streamed(self, exchange: Exchange, attempt: Attempt) -> Streamed:
        """Nothing is taken out of a stream that is compressed, or whose length the worker has declared."""
        gaps = self._inter_token.series((attempt.asked.model,))
        return Streamed(gaps, UsageOut() if attempt.hides_usage and exchange.extensible else None)

    async def _relay_body(self, exchange: Exchange, reply: Reply, watch: Watch, streamed: Streamed | None) -> None:
        """Relay the answer to its end, or to the end of what has come of it."""
        hidden = streamed.hidden if streamed is not None else None
        try:
            await self._relay_chunks(exchange, reply, watch, streamed)
        finally:
            if hidden is not None and exchange.head_is_out:
                write_chunk(exchange.cycle, hidden.end())  # of a stream that was cut; else there is nothing left

    async def _relay_chunks(self, exchange: Exchange, reply: Reply, watch: Watch, streamed: Streamed | None) -> None:
        """Relay the answer's chunks as they come: each is written in the call that reads it, as long as the client
        keeps up."""
        gaps, hidden = streamed or (None, None)
        write = write_chunk if hidden is None else partial(_write_shown, hidden)
        cycle, clock, keep = exchange.cycle, exchange.clock, exchange.answer.add
        response, chunk = reply
        silence_s = self._limits.silence_s
        now = clock()

        def came(chunk: bytes) -> None:
            nonlocal now
            before, now = now, clock()
            if gaps is not None:
                gaps.observe(now - before)
            keep(chunk)
            watch.deadline = now + silence_s  # of the silence that `read` was entered with

        def pass_on(chunk: bytes) -> bool:
            """This runs for every token."""
            if not write(cycle, chunk):
                return False
            came(chunk)
            return True

        more = not response.ended
        keep(chunk)
        while True:
            if hidden is not None:
                chunk = hidden.take(chunk) + (b"" if more else hidden.end())
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


def _write_shown(hidden: UsageOut, cycle: Any, chunk: bytes) -> bool:
    """As `write_chunk`, of what the client gets of the chunk."""
    if not can_write(cycle):
        return False  # asked before: the chunk comes again
    shown = hidden.take(chunk)
    return not shown or write_chunk(cycle, shown)


def _open(exchange: Exchange, attempt: Attempt, answer: WorkerAnswer) -> bool:
    """The answer's head, for the client. True where a stream follows."""
    streams = _streams(answer)
    attempt.answered(answer.status)
    headers = response_headers(answer.headers, answer.status)
    declared = {name for name, _ in headers}
    exchange.extensible = exchange.early or (streams and declared.isdisjoint((b"content-length", b"content-encoding")))
    headers.extend(own_headers(exchange, attempt, b"x-request-id" in declared))
    exchange.start(answer.status, headers)
    return streams


def _fits_late(answer: WorkerAnswer) -> bool:
    """It is the plain stream that an early head has promised."""
    return answer.status == HTTPStatus.OK and _streams(answer) and not answer.header(b"content-encoding")


def _streams(answer: WorkerAnswer) -> bool:
    """The answer is a stream of events."""
    return answer.header(b"content-type").startswith(EVENT_STREAM)


def own_headers(exchange: Exchange, attempt: Attempt, echoed: bool) -> list[tuple[bytes, bytes]]:
    """The request id where the worker did not echo it, and the decision where clients may see it."""
    own = [] if echoed else [(b"x-request-id", exchange.request_id.encode("latin-1"))]
    if exchange.client is not None:
        own += limit_headers(exchange.client)
    if exchange.decision_headers:
        own.append((b"x-warmroute-worker", attempt.worker.id.encode()))
        own.append((b"x-warmroute-reason", attempt.choice.reason.encode()))
        if attempt.asked.turn is not None:
            own.append((b"x-warmroute-session", attempt.asked.turn.standing.encode()))
        if attempt.record is not None:
            own.append((b"x-warmroute-prompt-tokens", b"%d" % attempt.record.prompt.tokens))
            own.append((b"x-warmroute-cached-tokens", b"%d" % attempt.record.predicted_tokens))
    return own


async def _first_bytes(response: WorkerAnswer) -> bytes:
    """Everything up to and including the first chunk that engines send after prefill; b"" for an empty body."""
    first = await response.read()
    if first[:1] not in (b":", b"e") or not _streams(response):
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


def _outgoing(exchange: Exchange, attempt: Attempt) -> Outgoing:
    """The request of this attempt. Its id is the client's own at first, then a fresh one, since an engine may refuse to
    run two requests of one id."""
    request_id = exchange.request_id.encode("latin-1")
    if attempt.number > 1:
        request_id += b"-%d" % attempt.number
    headers = [*exchange.headers.forward, *attempt.worker.rank_header, (b"x-request-id", request_id)]
    body = attempt.body
    if body is None and exchange.headers.has_body:
        body = b""
    return Outgoing(exchange.method, exchange.target, headers, body)
