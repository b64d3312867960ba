"""A TCP proxy that delays bytes or breaks connections, as a bad network does."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16


class Proxy:
    """Listens on its own port and passes bytes on to `target`. `delay_s` is added in each direction."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay_s = 0.0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        writers = list(self._writers)
        self.reset()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)

    def reset(self) -> None:
        """Reset every connection, even in the middle of an answer."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._follow(asyncio.current_task())
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._follow(asyncio.create_task(self._pipe(source, sink)))

    def _follow(self, task: asyncio.Task[None] | None) -> None:
        """Have it end with the proxy."""
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Delayed bytes keep their order, and do not delay the bytes behind them further."""
        loop = asyncio.get_running_loop()
        last_at = 0.0
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                last_at = max(last_at, loop.time() + self.delay_s)
                if last_at <= loop.time():
                    _write(sink, data)
                else:
                    loop.call_at(last_at, _write, sink, data)
        sink.transport.abort()


def _write(sink: asyncio.StreamWriter, data: bytes) -> None:
    if not sink.transport.is_closing():
        sink.write(data)
