"""HTTP by hand: for what no decent client sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write; a connection that the server closed already is fine, its answer is read all the same."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next response."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        lines = data.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in pairs}

    async def answer(self) -> tuple[int, bytes]:
        """The next response, whole; it must have a length or be chunked."""
        status, headers = await self.head()
        if "content-length" in headers:
            return status, await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 10)
        return status, await self.chunked()

    async def chunked(self) -> bytes:
        """A chunked body."""
        body = b""
        while True:
            size = int(await asyncio.wait_for(self.reader.readline(), 10), 16)
            body += await asyncio.wait_for(self.reader.readexactly(size), 10)
            await self.reader.readline()
            if not size:
                return body

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A raw connection to a local port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def post(path: str, body: object, *headers: str) -> bytes:
    """A well-formed POST; `body` is JSON or bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: x",
        "content-type: application/json",
        f"content-length: {len(data)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data
