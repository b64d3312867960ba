"""Three OpenTelemetry spans for each sampled request, made when it has ended: the request, its decision, its relay.

Needs the extra `otel`; imported only where `otlp_endpoint` is set. Spans go into a bounded queue, which a thread of the
SDK empties: a collector that is slow or away costs spans, never a request. No span holds a word of a prompt.
"""

import asyncio
import random
import time
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from router.observe.trace_context import TraceContext, trace_context
from router.wire.exchange import Exchange

EXPORT_S = 5.0
QUEUE_SPANS = 8192
"""At most so many wait for the collector; what comes then is dropped."""
BATCH_SPANS = 512
TRACEPARENT = b"traceparent"
GOOD = frozenset({"ok", "client_gone", "drained", "idle"})


class _Ids(IdGenerator):
    """Ids that were chosen before: the worker has been told the relay's."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.trace = 0
        self.span = 0
        """The next span's; 0: any."""

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        span, self.span = self.span, 0
        return span or self._rng.getrandbits(64) or 1


class Tracing:
    """Begins and ends the traces of requests. Used in the event loop alone."""

    def __init__(self, endpoint: str, sample: float, rng: random.Random) -> None:
        self._sample = sample
        self._rng = rng
        self._ids = _Ids(rng)
        resource = Resource.create({"service.name": "warmroute"})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS, max_export_batch_size=BATCH_SPANS)
        )
        self._tracer = self._provider.get_tracer("warmroute")

    def begin(self, exchange: Exchange, raw_headers: list[tuple[bytes, bytes]]) -> None:
        """Read the client's context, and give the worker ours in its place."""
        given = [value for name, value in raw_headers if name == TRACEPARENT]
        context = trace_context(given[0] if len(given) == 1 else b"", self._sample, self._rng)
        exchange.trace = context
        forward = [pair for pair in exchange.headers.forward if pair[0] != TRACEPARENT]
        exchange.headers.forward = [*forward, (TRACEPARENT, context.header)]

    def end(self, exchange: Exchange, outcome: str) -> None:
        """Record the request's spans. Called once for each; blocks for no I/O."""
        context = exchange.trace
        if context is None or not context.sampled:
            return
        now_ns, now = time.time_ns(), exchange.clock()

        def at(moment: float) -> int:
            return now_ns - round((now - moment) * 1e9)

        self._ids.trace = context.trace
        parent = set_span_in_context(NonRecordingSpan(_remote(context))) if context.parent else None
        name = f"{exchange.method} {exchange.endpoint}"
        request = self._tracer.start_span(
            name, parent, SpanKind.SERVER, _request(exchange, outcome), start_time=at(exchange.started_at)
        )
        inside = set_span_in_context(request)
        if exchange.dispatched_at:
            decided = self._tracer.start_span(
                "decide", inside, attributes=_decision(exchange), start_time=at(exchange.received_at)
            )
            decided.end(at(exchange.dispatched_at))
            self._ids.span = context.span
            relayed = self._tracer.start_span(
                "relay", inside, SpanKind.CLIENT, _relay(exchange, outcome), start_time=at(exchange.dispatched_at)
            )
            relayed.set_status(_status(outcome))
            relayed.end(now_ns)
        request.set_status(_status(outcome))
        request.end(now_ns)

    async def close(self) -> None:
        """Send what is left, within a few seconds."""
        try:
            async with asyncio.timeout(EXPORT_S):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            pass


def _remote(context: TraceContext) -> SpanContext:
    return SpanContext(context.trace, context.parent, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _status(outcome: str) -> Status:
    failed = outcome not in GOOD and outcome != "status_4xx" and outcome != "refused"
    return Status(StatusCode.ERROR, outcome) if failed else Status(StatusCode.UNSET)


def _request(exchange: Exchange, outcome: str) -> dict[str, Any]:
    return {
        "http.request.method": exchange.method,
        "http.route": exchange.endpoint,
        "http.response.status_code": exchange.status,
        "warmroute.request_id": exchange.request_id,
        "warmroute.model": exchange.model,
        "warmroute.outcome": outcome,
    }


def _decision(exchange: Exchange) -> dict[str, Any]:
    return {
        "warmroute.reason": exchange.reason,
        "warmroute.candidates": exchange.candidates,
        "warmroute.prompt_tokens": exchange.prompt.tokens if exchange.prompt is not None else 0,
        "warmroute.cached_tokens": exchange.predicted_cached,
        "warmroute.source": exchange.source,
        "warmroute.queued_s": exchange.queued_s,
    }


def _relay(exchange: Exchange, outcome: str) -> dict[str, Any]:
    usage = exchange.usage
    first_s = exchange.first_byte_at - exchange.received_at if exchange.first_byte_at else 0.0
    found: dict[str, Any] = {
        "http.response.status_code": exchange.status,
        "warmroute.worker": exchange.worker.id if exchange.worker is not None else "",
        "warmroute.attempts": exchange.attempts,
        "warmroute.stream": exchange.stream,
        "warmroute.ttft_s": first_s,
        "warmroute.outcome": outcome,
    }
    if usage is not None and usage.cached_tokens is not None:
        found["warmroute.engine_cached_tokens"] = usage.cached_tokens
    return found
