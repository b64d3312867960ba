"""The engine's side of one TCP connection: uvicorn's protocol, with what an emulator must know and do on top.

It notices at once that the client leaves, without a task that waits for it; it can reset or drop the connection on
command; it takes a body of any size without pausing.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SCOPE_KEY = "warmroute.connection"
"""Where a request's scope, under `extensions`, has its Connection."""
NTH_KEY = "warmroute.nth_request"
"""And there, which request of its connection it is, from 1."""


class Connection:
    """One client's connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._lost = asyncio.Event()
        self.closed_here = False
        """True when the engine itself closed it."""
        self.requests = 0
        """Requests that have begun to arrive on it."""
        self.on_lost: Callable[[], None] | None = None
        """Called once, at once, when the client is gone."""

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    async def until_lost(self) -> None:
        await self._lost.wait()

    async def close(self) -> None:
        """FIN; what was written before still goes out."""
        self.closed_here = True
        self._transport.close()
        await self._lost.wait()

    async def reset(self) -> None:
        """RST: the client sees "connection reset by peer"."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closed_here = True
        self._transport.abort()
        await self._lost.wait()

    def lost(self) -> None:
        self._lost.set()
        if self.on_lost is not None:
            self.on_lost()


class EngineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol that puts its Connection into each request's scope."""

    connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connection = Connection(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.connection.lost()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.connection.requests += 1
        extensions: dict[str, Any] = {SCOPE_KEY: self.connection, NTH_KEY: self.connection.requests}
        self.scope["extensions"] = extensions

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self.cycle.body += body
