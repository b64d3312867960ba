"""A small TCP balancer in front of routers: new connections go to those whose /ready says yes, in turn.

It acts like any balancer: it checks health at intervals, and notices refused connections. It does not retry once a byte
has gone through.
"""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

CHECK_S = 0.25
CHUNK_BYTES = 65536
HOST = "127.0.0.1"


class Balancer:
    """Listens from `async with` to its end, on `port`."""

    def __init__(self, routers: Sequence[int]) -> None:
        self._up = dict.fromkeys(routers, False)
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def up(self) -> set[int]:
        """Ports of the routers that new connections go to."""
        return {port for port, ready in self._up.items() if ready}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks = {asyncio.create_task(self._check(port)) for port in self._up}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _check(self, port: int) -> None:
        while True:
            self._up[port] = await _ready(port)
            await asyncio.sleep(CHECK_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._in_turn():
            try:
                there = await asyncio.open_connection(HOST, port)
            except OSError:
                continue
            await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))
            break
        writer.close()

    def _in_turn(self) -> list[int]:
        ports = sorted(self.up)
        first = next(self._turn) % max(1, len(ports))
        return ports[first:] + ports[:first]


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _ready(port: int) -> bool:
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(b"GET /ready HTTP/1.1\r\nhost: balancer\r\nconnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
