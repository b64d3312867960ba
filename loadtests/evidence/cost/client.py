"""The load: a closed loop of a few keep-alive connections, in a process of its own, at little CPU.

Turns of a session go out in order, never two at once; a connection works on several sessions by turns. The process
builds its bodies, prints `ready`, then runs one phase for each JSON line on stdin and answers with one JSON line, so
that CPU can be counted between phases. Latencies are in milliseconds.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import httptools
import uvloop

from loadtests.evidence.cost import bodies
from loadtests.harness.results import quantile

_ACTIVE_SESSIONS = 8
"""Sessions that one connection works on by turns."""


_HEADERS = (
    b"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: OpenAI/Python 2.8.0\r\n"
    b"Authorization: Bearer none\r\nContent-Length: %d\r\n\r\n"
)


class Turn(NamedTuple):
    """One request's body, in the pieces that need no copying."""

    messages: memoryview
    tail: bytes


class Sample(NamedTuple):
    """One answered request: time to its first body byte, and to its last, in seconds."""

    ttft_s: float
    total_s: float


def first_turns(workload: bodies.Workload, mine: Sequence[int]) -> Iterator[Turn]:
    """The opening body of each session."""
    for number in mine:
        session = workload.conversations[number]
        yield Turn(memoryview(session.buffer)[: session.ends[0]], workload.tail)


def later_turns(workload: bodies.Workload, mine: Sequence[int]) -> Iterator[Turn]:
    """All other turns: a few sessions by turns, then the next few."""
    for start in range(0, len(mine), _ACTIVE_SESSIONS):
        group = [workload.conversations[number] for number in mine[start : start + _ACTIVE_SESSIONS]]
        for turn in range(1, max(len(session.ends) for session in group)):
            for session in group:
                if turn < len(session.ends):
                    yield Turn(memoryview(session.buffer)[: session.ends[turn]], workload.tail)


class Phase:
    """One stretch of load: which turns, until when, and what was seen."""

    def __init__(self, connections: int, seconds: float, rate: float) -> None:
        self.deadline = time.perf_counter() + seconds if seconds else math.inf
        self.interval_s = connections / rate if rate else 0.0
        """Time between two requests of one connection; 0: the next one follows at once."""
        self.samples: list[Sample] = []
        self.errors: list[str] = []
        self.done = asyncio.get_running_loop().create_future()
        self._running = connections

    def leave(self) -> None:
        """A connection has no more to do."""
        self._running -= 1
        if not self._running and not self.done.done():
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """One client connection: at most one request at a time."""

    def __init__(self, port: int) -> None:
        self._head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port + _HEADERS
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._phase: Phase | None = None
        self._turns: Iterator[Turn] = iter(())
        self._due = self._started = self._first = 0.0

    @property
    def open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def start(self, phase: Phase, turns: Iterator[Turn], delay_s: float) -> None:
        """Work for `phase` from `delay_s` on."""
        self._phase, self._turns = phase, turns
        self._due = time.perf_counter() + delay_s
        self._next()

    def _next(self) -> None:
        assert self._phase is not None
        wait = self._due - time.perf_counter() if self._phase.interval_s else 0.0
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send)
        else:
            self._send()

    def _send(self) -> None:
        assert self._phase is not None and self._transport is not None
        turn = next(self._turns, None) if time.perf_counter() < self._phase.deadline else None
        if turn is None:
            phase, self._phase = self._phase, None
            phase.leave()
            return
        self._due += self._phase.interval_s
        self._first = 0.0
        self._started = time.perf_counter()
        head = self._head % (len(turn.messages) + len(turn.tail))
        self._transport.writelines((head, turn.messages, turn.tail))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
        if self._phase is not None and self._parser.get_status_code() != 200:
            self._phase.errors.append(f"{self._parser.get_status_code()} {body[:200]!r}")

    def on_message_complete(self) -> None:
        if self._phase is None:
            return
        now = time.perf_counter()
        self._phase.samples.append(Sample((self._first or now) - self._started, now - self._started))
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is not None:
            self._phase.errors.append(f"connection lost: {exc}")
            phase, self._phase = self._phase, None
            phase.leave()


class Load:
    """All connections to one router, and where each is in its sessions."""

    def __init__(self, workload: bodies.Workload, connections: int) -> None:
        self._workload = workload
        self._mine = [range(start, len(workload.conversations), connections) for start in range(connections)]
        self._later: list[Iterator[Turn]] = []
        self._connections: list[Connection | None] = [None] * connections
        self._port = 0

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """One phase: `{"kind": "first" | "later", "port": ..., "seconds": ..., "rate": ...}`. `first` begins anew."""
        count = len(self._connections)
        if command["kind"] == "first":
            self.close()  # another router may listen at the same port by now
            self._connections = [None] * count
            turns = [first_turns(self._workload, mine) for mine in self._mine]
            self._later = [later_turns(self._workload, mine) for mine in self._mine]
        else:
            turns = self._later
        connections = [await self._connected(index, command["port"]) for index in range(count)]
        phase = Phase(count, command.get("seconds", 0.0), command.get("rate", 0.0))
        began = time.perf_counter()
        for index, connection in enumerate(connections):
            connection.start(phase, turns[index], phase.interval_s * index / count)
        await phase.done
        return self._summary(phase, time.perf_counter() - began)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            if connection is not None:
                connection.close()

    async def _connected(self, index: int, port: int) -> Connection:
        connection = self._connections[index]
        if connection is None or not connection.open or port != self._port:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: Connection(port), "127.0.0.1", port)
            self._connections[index] = connection
        if index + 1 == len(self._connections):
            self._port = port
        return connection

    @staticmethod
    def _summary(phase: Phase, seconds: float) -> dict[str, Any]:
        ttft = [sample.ttft_s * 1000 for sample in phase.samples]
        total = [sample.total_s * 1000 for sample in phase.samples]
        return {
            "requests": len(ttft),
            "seconds": seconds,
            "errors": len(phase.errors),
            "error": phase.errors[0] if phase.errors else "",
            "ttft_p50_ms": quantile(ttft, 0.5),
            "ttft_p99_ms": quantile(ttft, 0.99),
            "total_p50_ms": quantile(total, 0.5),
            "total_p99_ms": quantile(total, 0.99),
        }


def main() -> None:
    """Command line of the client process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-kb", type=int, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--recorded", action="store_true")
    args = parser.parse_args()
    folder = bodies.recorded_folder() if args.recorded else None
    if folder is None:
        workload = bodies.generate(args.size_kb, args.sessions, stream=args.stream)
    else:
        workload = bodies.recorded(args.size_kb, args.sessions, stream=args.stream, folder=folder)
    load = Load(workload, args.connections)
    print("ready", flush=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for command in sys.stdin:
            print(json.dumps(runner.run(load.run(json.loads(command)))), flush=True)


if __name__ == "__main__":
    main()
