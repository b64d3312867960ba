"""The link: this process's one connection to Redis or Valkey, kept by one task.

`ask` is for commands that a request waits for: for milliseconds, and refused at once while the breaker is open. `tell`
is for commands that no request waits for. All commands submitted in one turn of the event loop go out in one write and
are answered in order; so two questions cost one round trip when both are asked before either is awaited. What must not
be broken: neither method ever raises or blocks, and starting needs no server.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from router.dial.quoting import printable
from router.shared.address import Address, Endpoint, UnreachableError
from router.shared.counters import LinkCounters
from router.shared.failure import DOWN, OPEN, Failure, FailureKind, Reply
from router.shared.script import Command, command
from router.shared.wire import Answer, Call, Wire
from router.tasks import Background

CONNECT_TIMEOUT_S = 2.0
BACKOFF_S = 0.05
"""Longest wait before the first new attempt; it doubles with each attempt, up to `MAX_BACKOFF_S`. The actual wait is
drawn between half of it and all of it, so that routers do not come back all at once."""
MAX_BACKOFF_S = 2.0
MAX_SPOILED = 256
"""Keys that are remembered for deletion."""
STEADY_S = 10.0
"""After a connection that lasted this many seconds, the next attempt begins with a short wait again."""

log = logging.getLogger("warmroute")
PING = command("PING")


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """The link's deadlines."""

    ask_s: float = 0.005
    """A request waits for a reply for at most this many seconds. After a stall of the event loop it waits 1 ms more, to
    read what has come."""
    tell_s: float = 2.0
    """The deadline of commands that no request waits for."""
    slow_in_row: int = 5
    """This many urgent calls in a row without a reply in time open the breaker."""
    probe_s: float = 0.2
    """Seconds between two tries of the server while the breaker is open."""
    heartbeat_s: float = 1.0
    """Seconds between two tries of an idle connection, to notice a peer that is gone."""
    stalled_s: float = 2.5
    """A connection is given up when its oldest command has waited for this many seconds."""


class Link:
    """Use as `async with`. `ask` and `tell` also work before and after: they fail at once."""

    def __init__(
        self, address: Address, route_key: str, limits: LinkLimits, counters: LinkCounters, rng: random.Random
    ) -> None:
        self.counters = counters
        self.on_up: list[Callable[[], None]] = []
        """Called after each new connection: the shared data may be gone."""
        self.address = address
        self._route_key = route_key
        self._limits = limits
        self._rng = rng
        self._wire: Wire | None = None
        self._open = False
        self._failed_before = ""
        self._spoiled: dict[str, None] = {}
        self._background = Background(counters.restarts)

    async def __aenter__(self) -> Self:
        await self._background.__aenter__()
        self._background.start("redis link", self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._background.__aexit__(kind, error, traceback)

    @property
    def connected(self) -> bool:
        """True when there is a connection, fast or slow."""
        return self._wire is not None

    @property
    def problem(self) -> str:
        """Why there is no connection; empty while there is one."""
        return "" if self.connected else self._failed_before

    @property
    def responsive(self) -> bool:
        """True when a command that is asked now may be answered in time."""
        return self._wire is not None and not self._open

    def ask(self, words: Command) -> "asyncio.Future[Answer]":
        """Send a command that a request waits for: done within `ask_s`, with a reply or a failure. May be awaited or
        forgotten."""
        if self._open:
            return self._refused(OPEN)
        return self._send(words, self._limits.ask_s, True)

    def tell(self, words: Command) -> "asyncio.Future[Answer]":
        """Send a command that no request waits for: done within `tell_s`, with a reply or a failure. May be awaited or
        forgotten."""
        return self._send(words, self._limits.tell_s, False)

    def mend(self, answer: Answer, *keys: str) -> None:
        """Delete `keys` if the answer says that one of them holds a value that no router wrote and that can never be
        read. The deletion happens now, or at the next connection, because such a reply may have ended this one."""
        if not isinstance(answer, Failure) or answer.kind is not FailureKind.INVALID or not keys:
            return
        self.counters.refused.add(1, ("key",))
        if self._wire is not None and not self._wire.closing:
            self.tell(command("DEL", *keys))
        elif len(self._spoiled) < MAX_SPOILED:
            self._spoiled.update(dict.fromkeys(keys))

    def _send(self, words: Command, patience_s: float, urgent: bool) -> "asyncio.Future[Answer]":
        wire = self._wire
        if wire is None:
            return self._refused(DOWN)
        call = Call(words, asyncio.get_running_loop().create_future(), patience_s, urgent)
        wire.send(call)
        return call.future

    def _refused(self, failure: Failure) -> "asyncio.Future[Answer]":
        self.counters.calls.add(1, (failure.kind.value,))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        future.set_result(failure)
        return future

    async def _run(self) -> None:
        wait_s = BACKOFF_S
        while True:
            try:
                wire = await self._connect()
            except (OSError, ValueError) as error:  # TimeoutError, TLS, and names that cannot be encoded are among them
                self.counters.connect_failures.add()
                self._say(f"no connection to Redis at {self.address.redacted}: {error or type(error).__name__}")
            else:
                connected_at = time.monotonic()
                await self._keep(wire)
                wait_s = BACKOFF_S if time.monotonic() - connected_at > STEADY_S else wait_s
            await asyncio.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(MAX_BACKOFF_S, 2 * wait_s)

    def _say(self, message: str) -> None:
        """Log a condition that lasts only once."""
        if message != self._failed_before:
            self._failed_before = message
            log.warning("%s", printable(message))

    async def _connect(self) -> Wire:
        endpoint = await self.address.find(self._route_key)
        wire = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                wire = await self._open_wire(endpoint)
                await self._greet(wire)
        except BaseException:
            if wire is not None:
                wire.abort()
            raise
        return wire

    async def _open_wire(self, endpoint: Endpoint) -> Wire:
        loop = asyncio.get_running_loop()
        tls = self.address.tls

        def wire() -> Wire:
            return Wire(self.counters)

        if endpoint.path:
            return (await loop.create_unix_connection(wire, endpoint.path))[1]
        host = endpoint.host if tls is not None else None
        return (await loop.create_connection(wire, endpoint.host, endpoint.port, ssl=tls, server_hostname=host))[1]

    async def _greet(self, wire: Wire) -> None:
        """Log in. Raises UnreachableError."""
        address = self.address
        steps = []
        if address.password:
            login = (address.username, address.password) if address.username else (address.password,)
            steps.append(command("AUTH", *login))
        if address.db:
            steps.append(command("SELECT", address.db))
        for step in (*steps, PING):
            answer = await self._await(wire, step)
            if isinstance(answer, Failure):
                raise UnreachableError(answer)

    async def _await(self, wire: Wire, words: Command) -> Answer:
        call = Call(words, asyncio.get_running_loop().create_future(), CONNECT_TIMEOUT_S, False)
        wire.send(call)
        return await call.future

    async def _keep(self, wire: Wire) -> None:
        """Let the wire be used until it must be given up."""
        log.info("connected to Redis at %s", self.address.redacted)
        self._failed_before = ""
        self.counters.connections.add()
        self._wire, self._open = wire, False
        self.counters.up = True
        try:
            if self._spoiled:
                self.tell(command("DEL", *self._spoiled))
                self._spoiled.clear()
            for callback in self.on_up:
                callback()
            while not self._finished(wire):
                await self._watch(wire)
        finally:
            self._wire, self._open = None, False
            self.counters.up = False
            wire.abort()
        self._say(f"the connection to Redis at {self.address.redacted} has ended")

    def _finished(self, wire: Wire) -> bool:
        return wire.lost or wire.failed_over or wire.waiting_s(time.monotonic()) > self._limits.stalled_s

    async def _watch(self, wire: Wire) -> None:
        """Look at the connection once: open the breaker, try whether it can be closed, or send a heartbeat."""
        limits = self._limits
        wire.stirred.clear()
        if wire.slow_in_row < limits.slow_in_row and not self._open:
            await self._stirred_within(wire, limits.heartbeat_s)
        elif not self._open:
            self._open = True
            self.counters.up = False
            self.counters.breaker_opened.add()
            self._say("Redis is slow: requests do not wait for it")
        else:
            await self._stirred_within(wire, limits.probe_s * self._rng.uniform(0.5, 1.0))
        if self._open or not wire.stirred.is_set():
            await self._probe(wire)

    async def _stirred_within(self, wire: Wire, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await wire.stirred.wait()
        except TimeoutError:
            pass

    async def _probe(self, wire: Wire) -> None:
        """Send an urgent PING: a reply in time closes the breaker; a slow one counts like any request's command."""
        call = Call(PING, asyncio.get_running_loop().create_future(), self._limits.ask_s, True)
        wire.send(call)
        answer = await call.future
        if self._open and not isinstance(answer, Failure):
            self._open = False
            self.counters.up = True
            log.info("Redis answers in time again")
            self._failed_before = ""


__all__ = ["Answer", "Link", "LinkLimits", "Reply"]
