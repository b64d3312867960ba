"""The process that listens to engines' KV events: `python -m router.kv_events.process`, started by the router.

It reads orders from its standard input and writes news to its standard output. It ends with its standard input. Nothing
that it does takes time from the router's event loop. Engines' words are read in `batches`; here they are bytes.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import zmq

from router.kv_events.batches import MAX_BATCH_BYTES
from router.kv_events.listener import Listener
from router.kv_events.wire import LENGTH, MAX_MESSAGE_BYTES, MAX_TALK_CHAINS, Orders, packed, read_orders

TELL_S = 0.03
"""Seconds between two looks at what the router should know."""
LEAST_CHAINS = 8
"""Of the chains that are told at one look, each source may tell its part, and at least this many."""
TURN_BATCHES, TURN_S = 200, 0.02
"""Batches of one source, and seconds, after which the others get their turn. One batch of the largest takes 1 s."""
HELD_MESSAGES = 10_000
"""Batches that wait for this process in its sockets; beyond, engines drop them, which shows as a gap."""
NUMBER_BYTES = 8
END = b"\xff" * NUMBER_BYTES

Socket = Any
"""A ZMQ socket: the library's types differ between its versions."""


class SourceSockets:
    """One source's sockets."""

    def __init__(self, context: Socket, listener: Listener) -> None:
        source = listener.source
        self.listener = listener
        self.events = _socket(context, zmq.SUB, source.events)
        self.events.subscribe(source.topic.encode())
        self.repeats = _socket(context, zmq.DEALER, source.repeats) if source.repeats else None

    def hear(self, now: float) -> None:
        """Read what has come, and ask for what is missing."""
        listener, stream = self.listener, self.listener.stream
        for frames in in_turn(self.events):
            if len(frames) == 3 and len(frames[1]) == NUMBER_BYTES:
                listener.take(stream.live(int.from_bytes(frames[1], "big"), frames[2], now))
        if self.repeats is not None:
            self._hear_repeats(self.repeats, now)
            if stream.asks is not None:
                with suppress(zmq.Again):  # nobody reads there: it is given up when it is late
                    self.repeats.send_multipart((b"", stream.asks.to_bytes(NUMBER_BYTES, "big")), zmq.NOBLOCK)
                stream.asks = None
        if stream.is_late(now):
            listener.take(stream.give_up(now))

    def _hear_repeats(self, socket: Socket, now: float) -> None:
        listener, stream = self.listener, self.listener.stream
        for frames in in_turn(socket):
            if len(frames) < 2 or len(frames[-2]) != NUMBER_BYTES:
                continue
            if frames[-2] == END:
                listener.take(stream.end(now))
            else:
                listener.take(stream.repeated(int.from_bytes(frames[-2], "big"), frames[-1], now))

    def close(self) -> None:
        self.events.close(0)
        if self.repeats is not None:
            self.repeats.close(0)


class ListeningLoop:
    """All sources, and the pipe to the router."""

    def __init__(self, context: Socket, orders_fd: int, news_fd: int) -> None:
        self._context = context
        self._orders_fd = orders_fd
        self._news_fd = news_fd
        self._unread = b""
        self._sources: dict[str, SourceSockets] = {}
        """By the key of the source."""
        self._poller = zmq.Poller()
        self._poller.register(orders_fd, zmq.POLLIN)

    def run(self) -> None:
        """Until the router is gone."""
        tell_at = 0.0
        while True:
            ready = dict(self._poller.poll(int(TELL_S * 1000)))
            if self._orders_fd in ready and not self._read_orders():
                return
            now = time.monotonic()
            for sockets in self._sources.values():
                sockets.hear(now)
            if now >= tell_at:
                tell_at = now + TELL_S
                self._tell()

    def _tell(self) -> None:
        share = max(LEAST_CHAINS, MAX_TALK_CHAINS // max(1, len(self._sources)))
        for sockets in self._sources.values():
            for news in sockets.listener.news(share):
                _write(self._news_fd, packed(news))

    def _read_orders(self) -> bool:
        data = os.read(self._orders_fd, 1 << 16)
        self._unread += data
        while len(self._unread) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._unread)
            if size > MAX_MESSAGE_BYTES:
                return False
            if len(self._unread) < LENGTH.size + size:
                break
            body, self._unread = self._unread[LENGTH.size : LENGTH.size + size], self._unread[LENGTH.size + size :]
            self._obey(read_orders(body))
        return bool(data)

    def _obey(self, orders: Orders) -> None:
        wanted = {source.key: source for source in orders.sources}
        for key, sockets in list(self._sources.items()):
            if wanted.get(key) != sockets.listener.source:
                self._poller.unregister(sockets.events)
                if sockets.repeats is not None:
                    self._poller.unregister(sockets.repeats)
                sockets.close()
                del self._sources[key]
        for key, source in wanted.items():
            if key not in self._sources:
                with suppress(zmq.ZMQError):  # no files are left: its worker is simulated
                    self._sources[key] = self._open(Listener(source, orders.secret))

    def _open(self, listener: Listener) -> SourceSockets:
        sockets = SourceSockets(self._context, listener)
        self._poller.register(sockets.events, zmq.POLLIN)
        if sockets.repeats is not None:
            self._poller.register(sockets.repeats, zmq.POLLIN)
        listener.stream.begin(time.monotonic())
        return sockets

    def close(self) -> None:
        for sockets in self._sources.values():
            sockets.close()


def _socket(context: Socket, kind: int, address: str) -> Socket:
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, HELD_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_BATCH_BYTES)
    socket.setsockopt(zmq.IPV6, 1)
    with suppress(zmq.ZMQError):  # no address: nothing comes from there, and the worker is simulated
        socket.connect(address)
    return socket


def in_turn(socket: Socket) -> Iterator[list[bytes]]:
    """What has come, up to two bounds, one after the other: together they may be as large as the machine."""
    until = time.monotonic() + TURN_S
    with suppress(zmq.Again):
        for _ in range(TURN_BATCHES):
            yield socket.recv_multipart(zmq.NOBLOCK)
            if time.monotonic() > until:
                return


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def main() -> int:
    """Returns the exit code."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))  # as it comes, 511 workers are too many
    loop = ListeningLoop(context, sys.stdin.fileno(), sys.stdout.fileno())
    try:
        loop.run()
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the router is gone
    except msgspec.DecodeError:
        return 1
    finally:
        loop.close()
        context.term()
    return 0


if __name__ == "__main__":
    sys.exit(main())
