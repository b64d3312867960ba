"""Which request is next: start-time fair queueing over clients by the work they ask for; within a client, first come
first served.

Pure: no clock, no tasks. Each client has a *pass* that grows with what it was given, divided by its weight; the lowest
pass is next. A client that returns starts at the pass of the one served last: while away it neither saved nor owed
anything. When the queue is full, the client with the most tickets for its weight loses its newest one, so a flood from
one client pushes out no other client. Turns of known sessions stay while it has others.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class RoomSearch(Protocol):
    """Finds a place in the workers' KV memory for one request."""

    @property
    def patient(self) -> bool:
        """It is a known session's turn."""
        ...

    @property
    def waited(self) -> bool:
        """There was none at a look."""
        ...

    def found(self) -> bool:
        """Is there one now?"""
        ...

    def claim(self) -> None:
        """It has waited for the bound: have room made for it."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request."""

    client: str
    weight: float
    group: str
    """The model it asks for: what its turn depends on."""
    room: "RoomSearch | None" = None
    """Its search for KV memory; None for a request that needs none."""
    patient: bool = False
    """A known session's turn: it is not refused for waiting long."""
    came: float = 0.0
    """It stands in line since then."""
    since: float = 0.0
    """It waits for a worker since then: since it came, or since there was room for it."""
    lacks_room: bool = False
    """At the last look no room was found for it."""
    turn: bytes = b""
    """The same for the same turn sent again; empty where nothing tells."""
    number: int = 0
    """Order of arrival. Set by the queue, unless it comes back to the place where it stood."""
    out: bool = False
    """Pushed out by the queue, which was full."""
    late: bool = False
    """Its time is over."""
    before: int = 0
    """Tickets before it when it was pushed out, or its time was over."""


Lane = dict[Ticket, None]


class FairQueue:
    """Tickets in lanes by client and group."""

    def __init__(self, max_tickets: int) -> None:
        self._max_tickets = max_tickets
        self._lanes: dict[str, dict[str, Lane]] = {}
        self._counts: dict[str, int] = {}
        self._passes: dict[str, float] = {}
        self._reached = 0.0
        self._arrivals = 0

    def __len__(self) -> int:
        return sum(self._counts.values())

    def has(self, group: str) -> bool:
        """Does any request wait for this group?"""
        return any(group in lanes for lanes in self._lanes.values())

    def enter(self, ticket: Ticket) -> Ticket | None:
        """Add a ticket to the line. If the queue was full, returns the ticket that was removed for it: another one, or
        this one."""
        if ticket.client not in self._lanes:
            self._passes[ticket.client] = max(self._passes.get(ticket.client, 0.0), self._reached)
        lane = self._lanes.setdefault(ticket.client, {}).setdefault(ticket.group, {})
        lane[ticket] = None
        if ticket.number:
            in_order = sorted(lane, key=_number)
            lane.clear()
            lane.update(dict.fromkeys(in_order))
        else:
            self._arrivals += 1
            ticket.number = self._arrivals
        self._counts[ticket.client] = self._counts.get(ticket.client, 0) + 1
        return self._push_out() if len(self) > self._max_tickets else None

    def leave(self, ticket: Ticket) -> None:
        """Remove a ticket from the line. May be called again."""
        lanes = self._lanes.get(ticket.client, {})
        lane = lanes.get(ticket.group, {})
        if ticket not in lane:
            return
        del lane[ticket]
        self._counts[ticket.client] -= 1
        if not lane:
            del lanes[ticket.group]
        if not lanes:
            del self._lanes[ticket.client], self._counts[ticket.client]

    def in_order(self) -> Iterator[Ticket]:
        """All tickets as they stand in line: by their clients' passes; of one client as they came."""
        for client in sorted(self._lanes, key=self._passes.__getitem__):
            yield from heapq.merge(*self._lanes[client].values(), key=_number)

    def served(self, ticket: Ticket, cost: float) -> None:
        """Charge `cost` to the client of a ticket that goes. Call before `leave`."""
        at = self._passes.get(ticket.client, self._reached)
        self._reached = max(self._reached, at)
        self._passes[ticket.client] = at + cost / ticket.weight
        if len(self._passes) > 2 * len(self._lanes) + 64:
            self._passes = {name: at for name, at in self._passes.items() if at > self._reached or name in self._lanes}

    def _push_out(self) -> Ticket:
        def share(client: str) -> float:
            lane = next(iter(self._lanes[client].values()))
            return self._counts[client] / next(iter(lane)).weight

        longest = max(self._lanes, key=share)
        lanes = self._lanes[longest].values()
        others = filter(None, (next((t for t in reversed(lane) if not t.patient), None) for lane in lanes))
        newest = max(others, key=_number, default=None) or max((next(reversed(lane)) for lane in lanes), key=_number)
        self.leave(newest)
        newest.out, newest.before = True, len(self)
        return newest


def _number(ticket: Ticket) -> int:
    return ticket.number
