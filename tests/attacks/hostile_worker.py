"""A worker that answers each request with the very bytes that its case says, and one that answers as it should.

A request names its case in a header. Connections are kept wherever the case leaves them whole, so that what one answer
leaves behind would be the next one's.
"""

import asyncio
import json
from collections.abc import Callable
from typing import NamedTuple, Self

from tests.router.fake_worker import Answer, models, vllm

CASE = "x-case"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FLOOD_BYTES = 64 << 20
"""So much of a flood is offered; a router that takes it all has a fault."""


class Script(NamedTuple):
    """What is written, in pieces, and what then becomes of the connection: `keep`, `close`, `reset` or `hang`."""

    pieces: tuple[bytes, ...]
    then: str = "keep"
    flood: bytes = b""
    """Written after the pieces over and over, until the connection is closed or enough was offered."""
    early: bool = False
    """Before the request's body was read."""


class Heard(NamedTuple):
    """One request's head, and its body."""

    target: str
    headers: dict[str, str]
    body: bytes


Answerer = Callable[[Heard], Script]


class HostileWorker:
    """Serves on a socket of its own, in the test's event loop. Probes get `routes`, or `probed` where there is one; all
    else gets what `answer` says."""

    def __init__(self, model: str, answer: Answerer) -> None:
        self.routes = {**vllm(), "/v1/models": models(model)}
        self.probed: Script | None = None
        self.probes = 0
        self.heard: list[Heard] = []
        """All requests but probes."""
        self.offered = 0
        """Bytes of floods that were taken."""
        self._answer = answer
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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. Does the connection stay?"""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        target, length = first.split(" ")[1], int(headers.get("content-length", 0))
        if CASE not in headers:
            await reader.readexactly(length)
            self.probes += 1
            usual = _probed(self.routes.get(target.partition("?")[0]))
            await self._play(self.probed or usual, reader, writer)
            return False
        script = self._answer(Heard(target, headers, b""))
        body = b"" if script.early else await reader.readexactly(length)
        self.heard.append(heard := Heard(target, headers, body))
        await self._play(script if script.early else self._answer(heard), reader, writer)
        return script.then == "keep"

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in script.pieces:
            if writer.is_closing():
                return
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)  # the loop sends and reads it, before the next one is written
        taken = 0
        while script.flood and taken < FLOOD_BYTES and not writer.is_closing():
            writer.write(script.flood)
            await writer.drain()
            taken += len(script.flood)
            self.offered += len(script.flood)
        if script.then == "hang":
            await reader.read()
        elif script.then == "reset":
            writer.transport.abort()


def _probed(answer: Answer | None) -> Script:
    answer = answer or Answer("no such path", 404)
    body = answer.raw()
    head = [f"HTTP/1.1 {answer.status} Whatever", f"content-length: {len(body)}", "connection: close"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    return Script(("\r\n".join([*head, "\r\n"]).encode() + body,), "close")


def echo(heard: Heard) -> Script:
    """A good worker's answer: the case, and nothing of another's."""
    body = json.dumps({"case": heard.headers[CASE], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}).encode()
    if b'"stream": true' in heard.body:
        return Script((STREAM + chunked(b"data: %b\n\n" % body),))
    return Script((json_head(len(body)) + body,))


def json_head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; b"" is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(*data: bytes) -> bytes:
    """A whole chunked body."""
    return b"".join(map(chunk, data)) + chunk(b"")
