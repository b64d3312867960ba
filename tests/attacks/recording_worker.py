"""A worker that keeps the very bytes that it gets, and answers when httptools sees the end of a request in them.

Each answer ends a record: what comes behind a request in the same read stays in its record, so that a reader finds it
there. Probes are answered and not kept.
"""

import asyncio
from typing import Any, Self

import httptools

from tests.routers import MODEL

PROBE = b"user-agent: python-httpx"
"""What the router's own requests say. No case says it."""
_MODELS = b'{"object":"list","data":[{"id":"%s","object":"model","owned_by":"vllm","max_model_len":32768}]}' % (
    MODEL.encode()
)
_ANSWER = b'{"id":"x","object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":1,"total_tokens":1}}'


class RecordingWorker:
    """Serves on a socket of its own, inside the test's event loop."""

    def __init__(self) -> None:
        self._records: list[bytearray] = []
        self._port = 0
        self._server: asyncio.Server | None = None
        self.connections: set[asyncio.Transport] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for transport in list(self.connections):
            transport.abort()
        await self._server.wait_closed()

    def record(self) -> bytearray:
        """A new record."""
        self._records.append(bytearray())
        return self._records[-1]

    def take(self) -> list[bytes]:
        """What came since this was called last."""
        taken, self._records = self._records, []
        return [bytes(record) for record in taken if record and PROBE not in record.lower()]


class _Connection(asyncio.Protocol):
    """One connection of the router's."""

    def __init__(self, worker: RecordingWorker) -> None:
        self._worker = worker
        self._record: bytearray | None = None
        self._whole = False

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._worker.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.connections.discard(self._transport)

    def on_message_complete(self) -> None:
        self._whole = True

    def data_received(self, data: bytes) -> None:
        if self._record is None:
            self._record = self._worker.record()
            self._parser = httptools.HttpRequestParser(self)
        self._record += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.close()
        if self._whole:
            self._answer(bytes(self._record))
            self._whole, self._record = False, None

    def _answer(self, request: bytes) -> None:
        body = _MODELS if PROBE in request.lower() and request.startswith(b"GET") else _ANSWER
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head if request.startswith(b"HEAD ") else head + body)
