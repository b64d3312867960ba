"""Three OpenTelemetry spans for each sampled request, made when it has ended: the request, its decision, its relay.

Needs the extra `otel`; imported only where `otlp_endpoint` is set. Spans go into a bounded queue, which a thread of the
SDK empties: a collector that is slow or away costs spans, never a request. No span holds a word of a prompt.
"""

import asyncio
import random
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

from router.observe.record import RequestRecord
from router.observe.trace_context import TRACEPARENT, TraceContext, trace_context

EXPORT_S = 5.0
QUEUE_SPANS = 8192
"""At most this many spans wait for the collector; further ones are dropped."""
BATCH_SPANS = 512
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

    def begin(self, raw_headers: list[tuple[bytes, bytes]]) -> TraceContext:
        """Where the request stands: in the client's trace, or at the start of one."""
        given = [value for name, value in raw_headers if name == TRACEPARENT]
        return trace_context(given[0] if len(given) == 1 else b"", self._sample, self._rng)

    def end(self, record: RequestRecord) -> None:
        """Make the request's spans. Called once for each; blocks for no I/O."""
        context = record.trace
        if context is None or not context.sampled:
            return
        ended_ns = round(record.ended_ts * 1e9)

        def at(moment: float) -> int:
            return ended_ns - round((record.ended_at - moment) * 1e9)

        self._ids.trace = context.trace
        parent = set_span_in_context(NonRecordingSpan(_remote(context))) if context.parent else None
        name = f"{record.method} {record.endpoint}"
        request = self._tracer.start_span(
            name, parent, SpanKind.SERVER, _request(record), start_time=at(record.started_at)
        )
        inside = set_span_in_context(request)
        if record.dispatched_at:
            decided = self._tracer.start_span(
                "decide", inside, attributes=_decision(record), start_time=at(record.received_at)
            )
            decided.end(at(record.dispatched_at))
            self._ids.span = context.span
            relayed = self._tracer.start_span(
                "relay", inside, SpanKind.CLIENT, _relay(record), start_time=at(record.dispatched_at)
            )
            relayed.set_status(_status(record.outcome))
            relayed.end(ended_ns)
        request.set_status(_status(record.outcome))
        request.end(ended_ns)

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


def _request(record: RequestRecord) -> dict[str, Any]:
    return {
        "http.request.method": record.method,
        "http.route": record.endpoint,
        "http.response.status_code": record.status,
        "warmroute.request_id": record.request_id,
        "warmroute.model": record.model,
        "warmroute.outcome": record.outcome,
    }


def _decision(record: RequestRecord) -> dict[str, Any]:
    return {
        "warmroute.reason": record.reason,
        "warmroute.candidates": record.candidates,
        "warmroute.prompt_tokens": record.prompt_tokens,
        "warmroute.cached_tokens": record.predicted_cached_tokens,
        "warmroute.source": record.source,
        "warmroute.queued_s": record.queued_s,
        "warmroute.queued_for": record.queued_for,
        "warmroute.session": record.session,
    }


def _relay(record: RequestRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "http.response.status_code": record.status,
        "warmroute.worker": record.worker,
        "warmroute.attempts": record.attempts,
        "warmroute.stream": record.stream,
        "warmroute.ttft_s": record.ttft_s,
        "warmroute.outcome": record.outcome,
    }
    if record.cached_tokens is not None:
        found["warmroute.engine_cached_tokens"] = record.cached_tokens
    return found
