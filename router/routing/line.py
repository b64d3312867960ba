"""The line in front of the workers: whose turn it is to try, and who has waited for too long.

Pure but for the clock: the serving router looks a hundred times a second, the simulator under its own clock. What must
not be broken: one request tries at a time, so that of two the later one's decision sees the earlier one's lease.

A request is passed by later ones while no worker has room for it, and while those that have are saturated. Danger:
where the first in line holds up the others, a fleet whose memory just holds its sessions waits for one worker while
seven are idle (64 sessions: 4 to 8 turns a second instead of 17).
"""

import math
from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from router.routing.fair_queue import FairQueue, Ticket

MIN_COST_TOKENS = 256
"""Smallest cost of a request, even if its prompt is cached whole: its answer costs something too."""
MOST_SEARCHES = 64
"""Requests for one model that look for room at one look. Danger: with all of a long line, a look takes longer than the
time to the next one."""
MOST_CLAIMS = 4
"""Requests that have room made at one look; the others have it at the next looks. Danger: where 10,000 sessions are
inside, each takes 0.7 ms."""
MAX_RETRY_AFTER_S = 60
PACE = 0.05
"""Weight of the last gap between two requests that went, in the mean that `retry_after_s` goes by."""


class LineLimits(msgspec.Struct, frozen=True):
    """Bounds of the line. Times are seconds."""

    bound_s: float
    """A worker is saturated for a request that would wait there longer than this; 0: no worker ever is."""
    timeout_s: float
    """The longest wait for a worker that is not saturated."""
    max_requests: int
    """Requests in line at most; with more, one is pushed out."""


class Line:
    """All requests that wait in this router.

    Each is called when it may try, when it was pushed out, and when it has waited for too long. Its ticket says
    which."""

    def __init__(self, limits: LineLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._queue = FairQueue(limits.max_requests)
        self._calls: dict[Ticket, Callable[[], None] | None] = {}
        """What is called at a ticket's turn; None while it tries."""
        self._trying: Ticket | None = None
        self._blocked: set[str] = set()
        self._searches: dict[str, int] = {}
        """Searches for room at this look that found none, by group."""
        self._passed: dict[str, int] = {}
        """Tickets passed at this look because every worker with room for them is saturated, by group."""
        self._places: dict[Ticket, int] | None = None
        """How many stand before each; None while that was not counted since the last look."""
        self._gap_s = 1.0
        self._went_at = -math.inf

    def __len__(self) -> int:
        return len(self._calls)

    def crowded(self, group: str) -> bool:
        """Does any request wait for `group`? Then a new one stands in line."""
        return bool(self._calls) and self._queue.has(group)

    @property
    def tickets(self) -> Iterator[Ticket]:
        """Those in line, as they came."""
        return iter(self._calls)

    def before(self, ticket: Ticket) -> int:
        """How many tickets stood before this one at the last count; all of them for a ticket that was not here.

        They are counted once between two looks, because all may ask at the same moment."""
        if self._places is None:
            self._places = {other: place for place, other in enumerate(self._queue.in_order())}
        return self._places.get(ticket, len(self))

    def part(self, ticket: Ticket) -> float:
        """See `FairQueue.part`."""
        return self._queue.part(ticket)

    def enter(self, ticket: Ticket, call: Callable[[], None]) -> None:
        """Stand in line. Where that is full, another client's newest ticket, or this one, is pushed out."""
        now = self._clock()
        ticket.came, ticket.since = ticket.came or now, ticket.since or now
        self._calls[ticket] = call
        pushed_out = self._queue.enter(ticket)
        if pushed_out is not None:
            self._call(pushed_out)

    def look(self) -> None:
        """Let the next one try again: everything may have changed."""
        self._blocked.clear()
        self._searches.clear()
        self._passed.clear()
        self._places = None
        self._end_waits()
        self.give()

    def give(self) -> None:
        """Let the next one try, unless one tries already."""
        if self._trying is None:
            ticket = next(filter(self._may_try, self._queue.in_order()), None)
            if ticket is not None:
                self._trying = ticket
                self._call(ticket)

    def stay(self, ticket: Ticket, call: Callable[[], None]) -> None:
        """The ticket has tried and must wait on. Nor do others of its group try before the next look."""
        self._blocked.add(ticket.group)
        self._calls[ticket] = call
        self._trying = None
        self.give()

    def went(self, ticket: Ticket, cost_tokens: int) -> None:
        """The ticket's request goes to a worker. Call before `leave`."""
        now = self._clock()
        self._queue.served(ticket, MIN_COST_TOKENS + cost_tokens)
        self._gap_s += PACE * (min(now - self._went_at, float(MAX_RETRY_AFTER_S)) - self._gap_s)
        self._went_at = now

    def leave(self, ticket: Ticket) -> bool:
        """The ticket does not wait any more. Safe for one that was pushed out.

        Returns whether it was trying. Then `give` must be called once its request has taken its lease."""
        self._queue.leave(ticket)
        self._calls.pop(ticket, None)
        if self._trying is not ticket:
            return False
        self._trying = None
        return True

    @property
    def retry_after_s(self) -> int:
        """Seconds in which the line as it is now should have gone, from 1 to 60."""
        return min(max(1, math.ceil(len(self._calls) * self._gap_s)), MAX_RETRY_AFTER_S)

    def _may_try(self, ticket: Ticket) -> bool:
        if ticket.group in self._blocked or self._calls[ticket] is None:
            return False
        if ticket.search is None:
            return True
        searches = self._searches.get(ticket.group, 0)
        if searches == MOST_SEARCHES:
            ticket.lacks_room = True
            return False
        ticket.lacks_room = not ticket.search.found()
        if ticket.lacks_room:
            self._searches[ticket.group] = searches + 1
            return False
        if ticket.search.begins():
            return True
        passed = self._passed[ticket.group] = self._passed.get(ticket.group, 0) + 1
        if passed == MOST_SEARCHES or ticket.search.stalled:
            self._blocked.add(ticket.group)
        return False

    def _end_waits(self) -> None:
        now, late, lacking = self._clock(), list[Ticket](), False
        for ticket, call in self._calls.items():
            if ticket.lacks_room:
                ticket.since = now  # the wait for a worker begins when there is room
                lacking = True
            elif not ticket.patient and call is not None and now - ticket.since >= self.limits.timeout_s:
                late.append(ticket)
        if late:
            self._send_away(late)
        if lacking:
            self._claim_room()

    def _send_away(self, late: list[Ticket]) -> None:
        places = {ticket: place for place, ticket in enumerate(self._queue.in_order())}
        for ticket in late:
            ticket.late, ticket.before = True, places[ticket]
            self._queue.leave(ticket)
            self._call(ticket)

    def _claim_room(self) -> None:
        """In the order of the line, so that no client's claims come before all of another's."""
        claimed = 0
        lacking = (ticket for ticket in self._queue.in_order() if ticket.lacks_room)
        searches = (ticket.search for ticket in lacking if ticket.search is not None)
        for search in list(islice(searches, MOST_SEARCHES)):
            claimed += search.claim()
            if claimed == MOST_CLAIMS:
                return

    def _call(self, ticket: Ticket) -> None:
        call, self._calls[ticket] = self._calls[ticket], None
        if call is not None:
            call()
