"""One connection: sends commands, and gives each caller its reply, in order.

What must not be broken: every command sent takes one reply off the stream, even when its caller no longer waits (a late
reply given to the next caller would be a wrong answer). Commands of one loop turn go out in one write. A cancelled
caller only stops waiting. Replies are read with bounds (`reader`); a reply beyond them ends the connection.
"""

import asyncio
import time
from collections import deque
from typing import Any, cast

import hiredis

from router.shared.counters import LinkCounters
from router.shared.failure import INVALID, LOST, SLOW, Failure, FailureKind, Reply, failure_of
from router.shared.reader import ErrorReply, ReplyReader, UnreadableError
from router.shared.script import Command

Answer = Reply | Failure
LATE_TIMER_S = 0.001
"""A deadline's timer that fires this late means that the event loop stalled: the reply may lie unread in the socket."""
MAX_UNSENT_BYTES = 4 << 20
"""With this many bytes unsent, a server that reads nothing gets no more commands."""


class Call:
    """One command under way."""

    __slots__ = ("command", "future", "patience_s", "sent_at", "timer", "urgent")

    def __init__(self, command: Command, future: "asyncio.Future[Answer]", patience_s: float, urgent: bool) -> None:
        self.command = command
        self.future = future
        self.patience_s = patience_s
        self.urgent = urgent
        """True when a request waits for it: a missed deadline counts for the breaker."""
        self.sent_at = time.monotonic()
        self.timer: asyncio.TimerHandle | None = None


class Wire(asyncio.Protocol):
    """The protocol of one connection. For `Link`, which owns it."""

    def __init__(self, counters: LinkCounters) -> None:
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._unanswered: deque[Call] = deque()
        self._unsent: list[bytes] = []
        self.lost = False
        """True when the connection has ended."""
        self.slow_in_row = 0
        """Urgent calls that missed their deadline since the last urgent reply in time."""
        self.failed_over = False
        """True when the server said that the data is on another server."""
        self.stirred = asyncio.Event()
        """Set when an urgent call was too slow, when the data is elsewhere, and when the connection has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: callers that still wait get LOST."""
        self._transport = None
        calls, self._unanswered = self._unanswered, deque()
        for call in calls:
            self._settle(call, LOST)
        self.lost = True
        self.stirred.set()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: hand the replies out."""
        if self.closing:
            return
        replies: list[Any] = []
        try:
            self._reader.feed(data, replies)
            sound = True
        except UnreadableError:
            sound = False
        for reply in replies:
            if not self._unanswered:  # a reply without a command: the stream is out of step
                sound = False
                break
            self._answered(self._unanswered.popleft(), reply)
        if not sound:
            self._counters.refused.add(1, ("reply",))
            if self._unanswered:
                self._settle(self._unanswered.popleft(), INVALID)
            self.abort()

    @property
    def closing(self) -> bool:
        """True when the connection ends or has ended."""
        return self._transport is None or self._transport.is_closing()

    def waiting_s(self, now: float) -> float:
        """For how long the oldest unanswered command has waited."""
        return now - self._unanswered[0].sent_at if self._unanswered else 0.0

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def send(self, call: Call) -> None:
        """Send a command with this loop turn's others. Its future is done within its patience, with a reply or a
        failure; never with an exception."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._settle(call, LOST if self.closing else SLOW)
            return
        call.timer = self._loop.call_later(call.patience_s, self._expire, call)
        self._write(call)

    def _write(self, call: Call) -> None:
        self._unanswered.append(call)
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(call.command.words))  # type: ignore[arg-type]  # any number of words

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(b"".join(unsent))

    def _answered(self, call: Call, reply: Any) -> None:
        if isinstance(reply, ErrorReply):
            message = reply.message
            if call.command.script and message.startswith("NOSCRIPT"):
                call.command = call.command.in_full()
                self._write(call)
                return
            failure = failure_of(message)
            if failure.kind is FailureKind.MOVED:
                self.failed_over = True
                self.stirred.set()
            self._settle(call, failure)
            return
        self._counters.round_trip.observe(time.monotonic() - call.sent_at)
        if call.future.done():
            self._counters.late.add()
        elif call.urgent:
            self.slow_in_row = 0
        self._settle(call, reply)

    def _expire(self, call: Call) -> None:
        late = time.monotonic() - call.sent_at - call.patience_s
        if late > LATE_TIMER_S and call.patience_s:
            call.patience_s = 0.0
            call.timer = self._loop.call_later(LATE_TIMER_S, self._expire, call)
            return
        if call.urgent and not call.future.done():
            self.slow_in_row += 1
            self.stirred.set()
        self._settle(call, SLOW)

    def _settle(self, call: Call, answer: Answer) -> None:
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if not call.future.done():
            call.future.set_result(answer)
            self._counters.calls.add(1, (answer.kind.value if isinstance(answer, Failure) else "ok",))
