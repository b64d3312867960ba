"""Sends KV events over ZMQ as vLLM does: a PUB socket, and a ROUTER socket that repeats what was missed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import zmq
import zmq.asyncio

from loadtests.engine.kv_events import KvEventsConfig, KvFeed

END = b"\xff" * 8
"""The sequence of a replay's last message."""


def binds(endpoint: str) -> bool:
    """Whether vLLM listens at this endpoint. Danger: `tcp://0.0.0.0:5557` is not one of those; it connects there."""
    return "*" in endpoint or "::" in endpoint or endpoint.startswith(("ipc://", "inproc://"))


class KvPublisher:
    """The sockets of one rank. Use as `async with`, on the loop that serves the engine."""

    def __init__(self, config: KvEventsConfig, block_tokens: int, rank: int = 0) -> None:
        self._config = config.of_rank(rank)
        self.feed = KvFeed(self._config, block_tokens, self._send, rank=rank)

    async def __aenter__(self) -> Self:
        """Raises zmq.ZMQError for an endpoint that cannot be used."""
        self._context = zmq.asyncio.Context()
        # Not awaited: PUB drops, it never waits.
        self._events: zmq.Socket[bytes] = zmq.Socket.shadow(self._context.socket(zmq.PUB))
        self._events.setsockopt(zmq.LINGER, 0)
        self._events.set_hwm(self._config.hwm)
        _open(self._events, self._config.endpoint)
        self._replays = asyncio.create_task(self._serve_replays()) if self._config.replay_endpoint else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._replays is not None:
            self._replays.cancel()
            with suppress(asyncio.CancelledError):
                await self._replays
        self._context.destroy(linger=0)

    def _send(self, frames: Sequence[bytes]) -> None:
        self._events.send_multipart(frames)

    async def _serve_replays(self) -> None:
        """Requests are (identity, empty, first sequence wanted); the answer ends with END and an empty payload."""
        socket = self._context.socket(zmq.ROUTER)
        _open(socket, self._config.replay_endpoint or "")
        while True:
            frames = await socket.recv_multipart()
            if len(frames) != 3 or frames[1] or len(frames[2]) != 8:
                continue
            for batch in self.feed.since(int.from_bytes(frames[2], "big")):
                await socket.send_multipart((frames[0], b"", *batch))
            await socket.send_multipart((frames[0], b"", b"", END, b""))


def _open(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", endpoint: str) -> None:
    if binds(endpoint):
        socket.bind(endpoint)
    else:
        socket.connect(endpoint)
