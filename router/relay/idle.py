"""Connections to workers that wait for their next request.

aiohttp keeps such a pool too, and takes 8 us for each request to give a connection out and to take it back. This one
hands on the connection itself, the one that was used last first, so that those which the load does not need run out of
time.
"""

import asyncio

from aiohttp.connector import Connection

POOL_IDLE_S = 4.0
"""Below vLLM's 5 s: a connection that the worker is about to close must not be picked."""


class IdleConnections:
    """By worker, the latest last. A connection is here or with one request, never both."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: dict[str, list[tuple[Connection, float]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, url: str) -> Connection | None:
        """One that is open still; None where there is none."""
        idle = self._idle.get(url)
        while idle:
            connection, since = idle.pop()
            if self._loop.time() - since < POOL_IDLE_S and not connection.closed:
                return connection
            connection.close()
        return None

    def give(self, url: str, connection: Connection) -> None:
        """Its request is answered, and it may be used again."""
        if self._closed:
            connection.close()
            return
        idle = self._idle.get(url)
        if idle is None:
            idle = self._idle[url] = []
        idle.append((connection, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(POOL_IDLE_S, self._sweep)

    def close(self) -> None:
        """Close all, and those that come later."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for idle in self._idle.values():
            for connection, _ in idle:
                connection.close()
        self._idle.clear()

    def _sweep(self) -> None:
        """Close those that have waited for too long. The oldest of each worker come first."""
        oldest = self._loop.time() - POOL_IDLE_S
        for url, idle in list(self._idle.items()):
            old = 0
            while old < len(idle) and (idle[old][1] <= oldest or idle[old][0].closed):
                idle[old][0].close()
                old += 1
            del idle[:old]
            if not idle:
                del self._idle[url]
        self._timer = self._loop.call_later(POOL_IDLE_S / 4, self._sweep) if self._idle else None
