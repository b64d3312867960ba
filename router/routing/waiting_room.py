"""Where requests wait for a place: they get their turns one after another, and each turn decides with the current load.

While a request waits, the room looks a hundred times a second whether the next one can go: a place becomes free by
time (prefill is worked off), by answers that begin or end and by what engines report, and one look covers them all. A
request whose task is cancelled leaves at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from router.observe.instruments import Histogram
from router.routing.fair_queue import Ticket
from router.routing.kept_places import KeptPlaces
from router.routing.line import Line, LineLimits
from router.wire.limits import ClientError

LOOK_S = 0.01
QUEUE_SHARE = 0.25
"""Share of the requests in flight that may wait here: the others run at workers or upload. Of the default 4,096 it is
1,024. Danger: with 1, a saturated fleet's line leaves no place for requests that other models could take."""
MEMORY, SATURATED = "memory", "saturated"
"""Why a request waits: sessions leave no room for it, or every worker has too much to compute."""

T = TypeVar("T")


class Verdict(NamedTuple):
    """What a decision means for the waiting request: may it go, and what would it cost (uncached tokens)?"""

    goes: bool
    cost_tokens: int


class WaitingRoom:
    """The line, under a running event loop."""

    def __init__(self, limits: LineLimits, clock: Callable[[], float], waits: Histogram) -> None:
        self.limits = limits
        self.line = Line(limits, clock)
        self._clock = clock
        self._waits = waits
        self._timer: asyncio.TimerHandle | None = None
        self._kept = KeptPlaces()

    def __len__(self) -> int:
        return len(self.line)

    def crowded(self, group: str) -> bool:
        """Does any request wait for `group`? Then a new one stands in line."""
        return self.line.crowded(group)

    def comes_back(self, ticket: Ticket) -> bool:
        """Did its client hang up a moment ago, while the same turn waited? Then it stands where it stood."""
        return bool(ticket.turn) and self._kept.take(ticket, self._clock())

    async def wait(
        self,
        ticket: Ticket,
        decide: Callable[[], Awaitable[T]],
        judge: Callable[[T], Verdict],
    ) -> T:
        """Wait for a decision that may be carried out: the caller must take its lease before it awaits anything.

        `decide` may raise, and its error ends the wait. Raises ClientError 503 where the room is full, or no worker
        came free in time."""
        line, search, began = self.line, ticket.search, self._clock()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            line.enter(ticket, _caller(turn))
            if self._timer is None:
                self._look()
            else:
                line.give()  # what needs no room does not wait for the next look
            while True:
                await turn
                if ticket.out:
                    raise self._refused("queue_full", "Too many requests are waiting for a worker.", ticket)
                if ticket.late:
                    raise self._refused("queue_timeout", "No worker became free in time.", ticket)
                decision = await decide()
                verdict = judge(decision)
                if verdict.goes:
                    line.went(ticket, verdict.cost_tokens)
                    return decision
                turn = asyncio.get_running_loop().create_future()
                line.stay(ticket, _caller(turn))
        except asyncio.CancelledError:
            self._kept.keep(ticket, self._clock())
            raise
        finally:
            if line.leave(ticket):
                # In the next round of the loop: by then the request that goes has taken its lease.
                asyncio.get_running_loop().call_soon(line.give)
            reason = MEMORY if search is not None and search.waited else SATURATED
            self._waits.observe(self._clock() - began, (ticket.client, reason))

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look) if len(self.line) else None
        self.line.look()

    def _refused(self, reason: str, message: str, ticket: Ticket) -> ClientError:
        return ClientError(503, message, reason, reason, self.line.retry_after_s).behind(ticket.before)


def _caller(turn: "asyncio.Future[None]") -> Callable[[], None]:
    def call() -> None:
        if not turn.done():
            turn.set_result(None)

    return call
