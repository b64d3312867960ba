"""WebSocket handshakes of hostile clients: what reaches the worker is one handshake, and nothing behind it."""

import asyncio
from typing import Any

import pytest

from tests.attacks.readings import read_h11
from tests.router.fake_worker import FakeWorker, models, vllm
from tests.router.http.raw import wire
from tests.routers import MODEL, running_router

QUERY = f"/v1/realtime?model={MODEL}".encode()
LINES = [
    b"host: x",
    b"connection: Upgrade",
    b"upgrade: websocket",
    b"sec-websocket-version: 13",
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
]
TRACE = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"


class Handshaken(FakeWorker):
    """Agrees to every handshake, and keeps its bytes."""

    def __init__(self) -> None:
        super().__init__({**vllm(), "/v1/models": models(MODEL)})
        self.seen: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):  # a probe that was given up before it was sent
            writer.close()
            return
        if not head.startswith(b"GET /v1/realtime"):
            probe = asyncio.StreamReader()
            probe.feed_data(head)
            await super()._serve(probe, writer)
            return
        self.seen.append(head)
        writer.write(SWITCHED)
        self.seen[-1] += await reader.read()
        writer.close()


def handshake(*more: bytes, target: bytes = QUERY) -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % target, *LINES, *more]) + b"\r\n\r\n"


@pytest.mark.parametrize("tracing", [False, True])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (handshake(), 101),
        (handshake(b"transfer-enc" + TRACE, b"oding: chunked", TRACE), 101),
        (handshake(b"content-len" + TRACE, b"gth: 3"), 101),
        (handshake(b"content_length: 3", b"transfer_encoding: chunked"), 101),
        (handshake(b"x-a: \xe9\t1"), 101),
        (handshake(b"x-request-id: a b"), 101),
        (handshake(b"x-a: 1\x0bx: 2"), 400),
        (handshake(b"x-a: 1\x00"), 400),
        (handshake(b"x-a: 1\r x: 2"), 400),
        (handshake(b"x-a : 1"), 400),
        (handshake(b"host: y"), 400),
        (handshake(target=QUERY + b"&x=\xe9"), 400),
        (handshake(target=QUERY + b"&x=\x01"), 400),
        (handshake(b"content-length: 3") + b"abc", 501),
        (handshake(b"transfer-encoding: chunked") + b"0\r\n\r\n", 501),
    ],
)
async def test_a_handshake_is_one_request_to_every_parser(tracing: bool, data: bytes, status: int) -> None:
    changes: dict[str, Any] = {"otlp_endpoint": "http://127.0.0.1:1/v1/traces", "trace_sample": 0.0} if tracing else {}
    data = data.replace(TRACE, TRACE[:-2] + b"00")  # not sampled: nothing is exported
    async with Handshaken() as worker, running_router(worker.url, **changes) as router:
        async with wire(router.port) as client:
            await client.send(data)
            assert (await client.head())[0] == status
        await router.settles()
        assert len(worker.seen) == (status == 101)
        for head in worker.seen:
            [reading] = read_h11(head)
            names = [name for name, _ in reading.headers]
            assert (reading.method, reading.target, reading.body) == (b"GET", QUERY, b"")
            assert names.count(b"x-request-id") == names.count(b"host") == names.count(b"upgrade") == 1
            assert not {b"content-length", b"transfer-encoding", b"content_length", b"transfer_encoding"} & set(names)
            sent = {line.partition(b":")[0].lower() for line in data.split(b"\r\n")[1:]}
            assert set(names) <= sent | {b"x-request-id", b"traceparent"}
