"""A worker whose answers to chat requests are written by hand, byte for byte."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.router.fake_worker import Answer, FakeWorker, models, vllm
from tests.router.http.site import CHAT
from tests.routers import MODEL

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class ScriptedWorker(FakeWorker):
    """A vLLM to look at. `script` reads the rest of a chat request and writes the whole answer, head and all."""

    def __init__(self, script: Script) -> None:
        super().__init__({**vllm(), "/v1/models": models(MODEL)})
        self._script = script

    async def _read_body(self, target: str, length: int, reader: asyncio.StreamReader) -> None:
        if target != CHAT:  # that one is for the script
            await super()._read_body(target, length, reader)

    async def _answer(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.asked[-1] == CHAT:
            await self._script(reader, writer)
        else:
            await super()._answer(answer, reader, writer)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; b"" is the last."""
    return b"%x\r\n%s\r\n" % (len(data), data)
