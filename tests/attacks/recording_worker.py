"""A worker that keeps the very bytes of every request, and answers each connection's first one.

Where a request ends is not for it to judge: it keeps what comes until a moment's silence, and leaves the reading to
`readings.py`. Probes are answered and not kept.
"""

import asyncio
from typing import Self

from tests.routers import MODEL

MARK = b"x-case: "
"""The header by which a case knows its request."""
SILENCE_S = 0.02
"""A smuggled request would come with, or right behind, the one that carries it."""
_MODELS = b'{"object":"list","data":[{"id":"%s","object":"model","owned_by":"vllm","max_model_len":32768}]}' % (
    MODEL.encode()
)
_ANSWER = b'{"id":"x","object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":1,"total_tokens":1}}'


class RecordingWorker:
    """Serves on a socket of its own, inside the test's event loop."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        """All bytes of each exchange with the router but probes."""
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    def take(self) -> list[bytes]:
        """What came since this was called last."""
        taken, self.requests = self.requests, []
        return taken

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await self._all_of(reader):
                probed = MARK not in data
                if not probed:
                    self.requests.append(data)
                body = _MODELS if probed else _ANSWER
                if data.startswith(b"HEAD "):
                    body = b""
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                writer.write(head + body)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _all_of(self, reader: asyncio.StreamReader) -> bytes:
        """Everything until a moment's silence."""
        data = await reader.read(1 << 20)
        try:
            while data:
                async with asyncio.timeout(SILENCE_S):
                    more = await reader.read(1 << 20)
                if not more:
                    break
                data += more
        except TimeoutError:
            pass
        return data
