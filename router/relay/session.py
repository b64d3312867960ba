"""A WebSocket session in both directions, as bytes: each waits for its slower side, and ends with the other."""

import asyncio
from types import TracebackType
from typing import Self

from router.wire.tunnel import Tunnel

CHUNK_BYTES = 65536
GOING_AWAY, WORKER_DIED = 1001, 1011


class RealtimeSession:
    """Relays inside its `async with`, after which the client's connection is ended, with a close frame if need be."""

    def __init__(self, tunnel: Tunnel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tunnel = tunnel
        self._reader = reader
        self._writer = writer
        self._pumps: set[asyncio.Task[None]] = set()
        self.clock = asyncio.get_running_loop().time
        self.last = self.clock()
        """When bytes passed last, in either direction."""
        self.outcome = "ok"

    async def __aenter__(self) -> Self:
        self._pumps = {asyncio.create_task(self._up()), asyncio.create_task(self._down())}
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._pumps:
            task.cancel()
        self._tunnel.end(GOING_AWAY if self.outcome == "ok" else WORKER_DIED)

    async def ended(self, wait_s: float) -> bool:
        """Has one side ended? Waits for it for at most `wait_s` seconds."""
        done, _ = await asyncio.wait(self._pumps, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task.exception() is not None]
        if done and (failed or not self._tunnel.closed):
            self.outcome = "worker_died"
        return bool(done)

    async def _up(self) -> None:
        """Copy bytes from the client to the worker. When the client leaves, the request's task is cancelled, and this
        with it."""
        while True:
            self._writer.write(await self._tunnel.read())
            self.last = self.clock()
            await self._writer.drain()

    async def _down(self) -> None:
        """Copy bytes from the worker to the client."""
        while data := await self._reader.read(CHUNK_BYTES):
            self.last = self.clock()
            await self._tunnel.write(data)
