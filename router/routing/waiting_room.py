"""Where requests wait for a place: they get their turns one after another, and each turn decides with the current load.

While a request waits, the room checks a hundred times a second whether the next one can go: a place becomes free by
time (prefill is worked off), by answers that begin or end and by what engines report, and one check covers them all. No
request waits longer than the time limit, and a request whose task is cancelled leaves at once. What must not be broken:
of two tickets, the later one's decision sees the earlier one's lease, so a free place is not given away twice.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import msgspec

from router.clients import Client
from router.observe.instruments import Histogram
from router.routing.fair_queue import FairQueue, Ticket
from router.wire.limits import ClientError

LOOK_S = 0.01
QUEUE_SHARE = 0.25
"""Share of the requests in flight that may wait here: the others run at workers or upload. Of the default 4,096 it is
1,024. Danger: with 1, a saturated fleet's line leaves no place for requests that other models could take."""
MIN_COST_TOKENS = 256
"""Smallest cost of a request, even if its prompt is cached whole: its answer costs something too."""
MAX_RETRY_AFTER_S = 60
PACE = 0.05

T = TypeVar("T")


class RoomLimits(msgspec.Struct, frozen=True):
    """`bound_s`: the wait at a worker from which it is saturated, 0 never. `timeout_s`: the longest wait here."""

    bound_s: float
    timeout_s: float
    max_requests: int


class Verdict(NamedTuple):
    """What a decision means for the waiting request: may it go, and what would it cost (uncached tokens)?"""

    goes: bool
    cost_tokens: int


class WaitingRoom:
    """All requests that wait in this router."""

    def __init__(self, limits: RoomLimits, clock: Callable[[], float], waits: Histogram) -> None:
        self.limits = limits
        self._clock = clock
        self._waits = waits
        self._queue = FairQueue(limits.max_requests)
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._turn: Ticket | None = None
        self._blocked: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._gap_s = 1.0
        self._went_at = -math.inf

    def __len__(self) -> int:
        return len(self._turns)

    def crowded(self, group: str) -> bool:
        """Does any request wait for `group`? Then a new one stands in line."""
        return bool(self._turns) and self._queue.has(group)

    async def wait(
        self, client: Client, group: str, decide: Callable[[], Awaitable[T]], judge: Callable[[T], Verdict]
    ) -> T:
        """Wait for a decision that may be carried out: the caller must take its lease before it awaits anything.

        `decide` may raise, and its error ends the wait. Raises ClientError 429 where the room is full, or nothing came
        free in time."""
        began = self._clock()
        ticket = Ticket(client.label, client.weight, group)
        self._enter(ticket)
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                while not ticket.out:
                    await self._turns[ticket]
                    if ticket.out:
                        break
                    decision = await decide()
                    verdict = judge(decision)
                    if verdict.goes:
                        self._went(ticket, verdict.cost_tokens)
                        return decision
                    self._stay(ticket)
            raise self._refused(client, "queue_full", "Too many requests are waiting for a worker.")
        except TimeoutError:
            raise self._refused(client, "queue_timeout", "No worker became free in time.") from None
        finally:
            self._leave(ticket)
            self._waits.observe(self._clock() - began, (client.label,))

    def _enter(self, ticket: Ticket) -> None:
        self._turns[ticket] = asyncio.get_running_loop().create_future()
        pushed_out = self._queue.enter(ticket)
        if pushed_out is not None and not self._turns[pushed_out].done():
            self._turns[pushed_out].set_result(None)
        if self._timer is None:
            self._look()

    def _look(self) -> None:
        """Let the next request try again: everything may have changed."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look) if self._turns else None
        self._blocked.clear()
        self._give()

    def _give(self) -> None:
        if self._turn is not None:
            return
        ticket = self._queue.next(self._blocked)
        if ticket is not None and not self._turns[ticket].done():
            self._turn = ticket
            self._turns[ticket].set_result(None)

    def _stay(self, ticket: Ticket) -> None:
        self._blocked.add(ticket.group)
        self._turns[ticket] = asyncio.get_running_loop().create_future()
        self._turn = None
        self._give()

    def _went(self, ticket: Ticket, cost_tokens: int) -> None:
        now = self._clock()
        self._queue.served(ticket, MIN_COST_TOKENS + cost_tokens)
        self._gap_s += PACE * (min(now - self._went_at, float(MAX_RETRY_AFTER_S)) - self._gap_s)
        self._went_at = now

    def _leave(self, ticket: Ticket) -> None:
        """Safe for a ticket that was pushed out. The next turn comes in the next round of the loop: by then the request
        that goes has taken its lease."""
        self._queue.leave(ticket)
        self._turns.pop(ticket, None)
        if self._turn is ticket:
            self._turn = None
            asyncio.get_running_loop().call_soon(self._give)

    def _refused(self, client: Client, reason: str, message: str) -> ClientError:
        """429, with the time in which the line so far should have gone."""
        retry_s = min(max(1, math.ceil(len(self._turns) * self._gap_s)), MAX_RETRY_AFTER_S)
        return ClientError(429, message, reason, reason, retry_s)
