"""The client's side of a connection that has become a WebSocket: bytes in, bytes out, both with backpressure.

While the worker has not agreed or is slow, the client's bytes are held up to a bound; then nothing more is read. The
answer's frames are tracked only by their lengths, so that a close frame can be put between two frames, never into one.
"""

import asyncio
from typing import Any

TUNNEL = "warmroute.tunnel"
"""The ASGI extension under which a handshake that may be granted finds its tunnel."""
HIGH_BYTES = 1 << 18
"""With more bytes than this from the client, it is read no further until the worker has taken them."""
CLOSE = b"\x88"


class Tunnel:
    """Made by the protocol when a client asks for an upgrade that may be granted. `feed` is the protocol's."""

    def __init__(self, transport: asyncio.Transport, flow: Any) -> None:
        self._transport = transport
        self._flow = flow
        self._held = bytearray()
        self._news = asyncio.Event()
        self._frames = Frames()
        self._paused = False

    def feed(self, data: bytes) -> None:
        """Take more bytes from the client."""
        self._held += data
        self._news.set()
        if len(self._held) > HIGH_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    async def read(self) -> bytes:
        """The bytes that the client has sent; waits until there are some. If the client leaves, the request's task is
        cancelled."""
        while not self._held:
            self._news.clear()
            await self._news.wait()
        data = bytes(self._held)
        self._held.clear()
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    def begin(self, head: bytes) -> None:
        """Tell the client that the worker has agreed."""
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send bytes to the client; waits while it is slow."""
        self._transport.write(data)
        self._frames.follow(data)
        if self._flow.write_paused:
            await self._flow.drain()

    @property
    def closed(self) -> bool:
        """Has the worker said that the session is over?"""
        return self._frames.closed

    def end(self, code: int, reason: str = "") -> None:
        """Close the connection once everything is written. A close frame of `code` is sent first, if the last frame is
        whole and no close frame was sent."""
        if self._transport.is_closing():
            return
        if self._frames.whole and not self._frames.closed:
            body = code.to_bytes(2, "big") + reason.encode()
            self._transport.write(CLOSE + bytes([len(body)]) + body)
        self._transport.close()


class Frames:
    """Tracks where one frame of a WebSocket stream ends and the next begins. It reads only lengths (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body_bytes = 0
        self.closed = False
        """True when a close frame has begun."""

    @property
    def whole(self) -> bool:
        """True when no frame is incomplete."""
        return not self._head and not self._body_bytes

    def follow(self, data: bytes) -> None:
        """Read the next bytes."""
        at = 0
        while at < len(data):
            if self._body_bytes:
                step = min(self._body_bytes, len(data) - at)
                self._body_bytes -= step
                at += step
                continue
            self._head.append(data[at])
            at += 1
            self._read_head()

    def _read_head(self) -> None:
        head = self._head
        if len(head) < 2:
            return
        short = head[1] & 0x7F
        extended = {126: 2, 127: 8}.get(short, 0)
        mask = 4 if head[1] & 0x80 else 0
        if len(head) < 2 + extended + mask:
            return
        self._body_bytes = int.from_bytes(head[2 : 2 + extended], "big") if extended else short
        self.closed = self.closed or head[0] & 0x0F == 0x08
        head.clear()
