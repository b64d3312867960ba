"""Reads control connections a little at a time, so that no worker's answer holds the event loop.

The HTTP client works through everything that it has read before any other task has its turn, at some 25 us per event (a
chunk, a 1xx response). A worker may send thousands of events in 64 KiB, and 1xx responses without end. Other tasks have
their turn between two slices, and an answer that begins with a 1xx response is refused: the router sends nothing that
asks for one.
"""

import asyncio
from typing import Any

import httpx

SLICE_BYTES = 16 << 10
_ANNOUNCEMENT = (b"HTTP/1.0 1", b"HTTP/1.1 1")


class SlicedBackend:
    """The backend of an httpcore pool whose connections are read in slices."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def connect_tcp(self, *where: Any, **how: Any) -> "SlicedStream":
        """See httpcore.AsyncNetworkBackend."""
        return SlicedStream(await self._inner.connect_tcp(*where, **how))

    async def sleep(self, seconds: float) -> None:
        """See httpcore.AsyncNetworkBackend."""
        await self._inner.sleep(seconds)


class SlicedStream:
    """See httpcore.AsyncNetworkStream. It carries one answer: control connections are not kept."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._first = b""
        self.write = inner.write
        self.aclose = inner.aclose
        self.get_extra_info = inner.get_extra_info

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's own
        """Read at most one slice. Raises httpx.RemoteProtocolError for a 1xx response."""
        data: bytes = await self._inner.read(min(max_bytes, SLICE_BYTES), timeout=timeout)
        if len(self._first) < len(_ANNOUNCEMENT[0]):
            self._first += data[: len(_ANNOUNCEMENT[0])]
            if self._first.startswith(_ANNOUNCEMENT):
                raise httpx.RemoteProtocolError("an announcement")
        await asyncio.sleep(0)
        return data

    async def start_tls(self, *how: Any, **more: Any) -> "SlicedStream":
        """See httpcore.AsyncNetworkStream."""
        return SlicedStream(await self._inner.start_tls(*how, **more))
