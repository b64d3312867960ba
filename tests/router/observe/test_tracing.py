"""Spans as a collector gets them: an OTLP receiver of our own, over real HTTP."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.attacks.readings import read_alike
from tests.attacks.recording_worker import RecordingWorker
from tests.engines import EngineThread
from tests.router.http.raw import post, wire
from tests.router.http.site import CHAT
from tests.routers import MODEL, chat, running_router

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "a prompt that nobody may read"


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans: list[Span] = []
        self.bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class Receiver(BaseHTTPRequestHandler):
    """One export."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        data = self.rfile.read(int(self.headers["content-length"]))
        self.server.bytes += data
        asked = ExportTraceServiceRequest.FromString(data)
        self.server.spans += [span for one in asked.resource_spans for scope in one.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs."""
    server = Collector()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def attributes(span: Span) -> dict[str, object]:
    values = {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}
    return {name.removeprefix("warmroute."): value for name, value in values.items()}


async def test_a_request_has_three_spans_in_the_clients_trace_and_the_worker_goes_on_with_it(
    collector: Collector,
) -> None:
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"}
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, otlp_endpoint=collector.url) as router:
            assert (await router.client.post(CHAT, json=chat(SECRET, stream=True), headers=sent)).status_code == 200
            assert (await router.client.post(CHAT, json={"model": "other", "messages": []}, headers=sent)).is_error
            await router.settles()
        seen = dict(engine.requests()[0]["headers"])
    spans = {span.name: span for span in reversed(collector.spans)}
    request, decide, relay = spans[f"POST {CHAT}"], spans["decide"], spans["relay"]
    assert len(collector.spans) == 4
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert request.parent_span_id.hex() == SPAN
    assert decide.parent_span_id == relay.parent_span_id == request.span_id
    assert seen["traceparent"] == f"00-{TRACE}-{relay.span_id.hex()}-01"
    assert seen["tracestate"] == "a=b"
    assert attributes(decide)["candidates"] == 1
    assert attributes(decide)["reason"] == "cold"
    told = attributes(relay)
    assert (told["outcome"], told["http.response.status_code"]) == ("ok", 200)
    assert 0 < float(str(told["ttft_s"])) < 10
    assert request.start_time_unix_nano <= decide.start_time_unix_nano <= relay.start_time_unix_nano
    assert relay.end_time_unix_nano <= request.end_time_unix_nano
    assert abs(request.end_time_unix_nano / 1e9 - time.time()) < 60
    assert SECRET.encode() not in collector.bytes


async def test_a_trace_that_is_not_sampled_is_passed_on_and_not_recorded(collector: Collector) -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, otlp_endpoint=collector.url, trace_sample=0.0) as router:
            for headers in ({}, {"traceparent": f"00-{TRACE}-{SPAN}-00"}):
                assert (await router.client.post(CHAT, json=chat(), headers=headers)).status_code == 200
        assert [dict(one["headers"])["traceparent"][-2:] for one in engine.requests()] == ["00", "00"]
    assert collector.spans == []


async def test_a_collector_that_is_away_costs_no_request_anything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, otlp_endpoint="http://127.0.0.1:1/v1/traces") as router:
            answers = await asyncio.gather(*(router.client.post(CHAT, json=chat()) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}


async def test_without_tracing_the_clients_header_goes_through_untouched() -> None:
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url) as router:
            assert (await router.client.post(CHAT, json=chat(), headers=sent)).status_code == 200
            assert router.parts.tracing is None
        assert dict(engine.requests()[0]["headers"])["traceparent"] == sent["traceparent"]


@pytest.mark.parametrize(
    "lines",
    [
        ["transfer-enctraceparent: {v}", "oding: chunked", "traceparent: {v}"],
        ["traceparent: {v}", "transfer-enctraceparent: {v}", "oding: chunked"],
        ["x: traceparent: {v}", "traceparent: {v}"],
        ["x-traceparent: {v}", "traceparent-x: {v}", "traceparent: {v}", "traceparent: {v}"],
        ["traceparent: ", "x-traceparent: ", "a: 1"],
    ],
)
async def test_a_header_that_ends_like_it_stays_whole(collector: Collector, lines: list[str]) -> None:
    sent = [line.format(v=f"00-{TRACE}-{SPAN}-01").encode() for line in lines]
    async with RecordingWorker() as worker:
        tracing = running_router(worker.url, otlp_endpoint=collector.url)
        async with tracing as router, wire(router.port) as client:
            await client.send(post(CHAT, chat(), *map(bytes.decode, sent)))
            assert (await client.answer())[0] == 200
        [record] = worker.take()
        seen = read_alike(record)
    others = [pair for pair in seen.headers if pair[0] != b"traceparent"]
    assert len(seen.headers) - len(others) == 1
    for line in sent:
        name, _, value = line.partition(b": ")
        assert name == b"traceparent" or (name, value) in others
