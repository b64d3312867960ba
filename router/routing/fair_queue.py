"""Which request is next: start-time fair queueing over clients by the work that they ask for, and within a client over
the levels of its requests. Within a level the first to come is the first served.

Pure: no clock, no tasks. Each client, and each level of it, has a *pass*. A pass grows with what was given, divided by
the weight, and the lowest one is next. A client that returns starts at the pass of the one served last: while away it
neither saved nor owed anything. When the queue is full, the client with the most tickets for its weight loses its
newest one of the last level. So a flood from one client pushes out no other client. A known session's turn is pushed
out only where the client has no other ticket.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from router.routing.priority import USUAL, share_of

Name = TypeVar("Name", str, int)


class RoomSearch(Protocol):
    """Finds a place in the workers' KV memory for one request."""

    @property
    def patient(self) -> bool:
        """The request is a known session's turn."""
        ...

    @property
    def waited(self) -> bool:
        """A look has found no room for it."""
        ...

    def found(self) -> bool:
        """Is there room now?"""
        ...

    @property
    def stalled(self) -> bool:
        """When it was last asked whether it `begins`, no worker would have begun any request soon."""
        ...

    def begins(self) -> bool:
        """Would a worker that has room begin it soon?"""
        ...

    def claim(self) -> bool:
        """Have room made, as the request has waited for the bound. False if that was tried a moment ago."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting request."""

    client: str
    weight: float
    group: str
    """The model that it asks for."""
    search: "RoomSearch | None" = None
    """Its search for KV memory; None for a request that needs none."""
    level: int = USUAL
    """Its level among its client's requests, the lowest first: see `priority`."""
    patient: bool = False
    """A known session's turn: it is not refused for waiting long."""
    came: float = 0.0
    """When it came into the line, in seconds of the line's clock."""
    since: float = 0.0
    """When its wait for a worker began: when it came, or when there was room for it."""
    lacks_room: bool = False
    """At the last look no room was found for it."""
    tokens: int = 0
    """KV tokens that it looks for."""
    turn: bytes = b""
    """Equal for a turn that is sent again; empty where that is not known."""
    number: int = 0
    """Order of arrival. Set by the queue, unless it comes back to the place where it stood."""
    out: bool = False
    """Pushed out by the queue, which was full."""
    late: bool = False
    """It has waited for too long."""
    before: int = 0
    """Tickets before it when it was pushed out, or its time was over."""


Lane = dict[Ticket, None]


class Passes:
    """The pass of each of several names, which are clients or levels."""

    def __init__(self) -> None:
        self._at: dict[str | int, float] = {}
        self._reached = 0.0

    def enter(self, name: str | int) -> None:
        """The name has tickets again. Its pass is at least that of the name served last."""
        self._at[name] = max(self._at.get(name, 0.0), self._reached)

    def charge(self, name: str | int, cost: float) -> None:
        """Add `cost`, which is divided by its weight already, to the name's pass."""
        at = self._at.get(name, self._reached)
        self._reached = max(self._reached, at)
        self._at[name] = at + cost

    def in_order(self, names: Iterable[Name]) -> list[Name]:
        """The names by their passes, the next one first. All must have entered."""
        return sorted(names, key=self._at.__getitem__)

    def forget(self, present: Collection[str | int]) -> None:
        """Drop names that are away and owe nothing, once there are many."""
        if len(self._at) > 2 * len(present) + 64:
            self._at = {name: at for name, at in self._at.items() if at > self._reached or name in present}


class FairQueue:
    """Tickets in lanes by client, level and group."""

    def __init__(self, max_tickets: int) -> None:
        self._max_tickets = max_tickets
        self._lanes: dict[str, dict[int, dict[str, Lane]]] = {}
        self._counts: dict[str, int] = {}
        self._clients = Passes()
        self._levels: dict[str, Passes] = {}
        """Of each client that is here."""
        self._arrivals = 0

    def __len__(self) -> int:
        return sum(self._counts.values())

    def has(self, group: str) -> bool:
        """Does any request wait for this group?"""
        return any(group in lanes for levels in self._lanes.values() for lanes in levels.values())

    def part(self, ticket: Ticket) -> float:
        """What its client has, with this ticket, which comes, of the tokens that are looked for in its group, over its
        fair share of them, 1 at most. Danger: without this ticket, of many clients with one each nobody is too many."""
        own = every = ticket.tokens
        weights = ticket.weight
        for client, levels in self._lanes.items():
            tokens = sum(other.tokens for lanes in levels.values() for other in lanes.get(ticket.group, ()))
            every += tokens
            if client == ticket.client:
                own += tokens
            elif tokens:
                weights += _weight(levels)
        return min(1.0, own * weights / (every * ticket.weight)) if every else 1.0

    def enter(self, ticket: Ticket) -> Ticket | None:
        """Add a ticket to the line. If the queue was full, returns the ticket that was removed for it: another one, or
        this one."""
        levels = self._lanes.get(ticket.client)
        if levels is None:
            self._clients.enter(ticket.client)
            levels = self._lanes[ticket.client] = {}
            self._levels[ticket.client] = Passes()
        if ticket.level not in levels:
            self._levels[ticket.client].enter(ticket.level)
        lane = levels.setdefault(ticket.level, {}).setdefault(ticket.group, {})
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
        levels = self._lanes.get(ticket.client, {})
        lanes = levels.get(ticket.level, {})
        lane = lanes.get(ticket.group, {})
        if ticket not in lane:
            return
        del lane[ticket]
        self._counts[ticket.client] -= 1
        if not lane:
            del lanes[ticket.group]
        if not lanes:
            del levels[ticket.level]
        if not levels:
            del self._lanes[ticket.client], self._counts[ticket.client], self._levels[ticket.client]

    def in_order(self) -> Iterator[Ticket]:
        """All tickets as they stand in line: by their clients' passes; of one client by the passes of its levels; of
        one level as they came."""
        for client in self._clients.in_order(self._lanes):
            levels = self._lanes[client]
            for level in self._levels[client].in_order(sorted(levels)):
                yield from heapq.merge(*levels[level].values(), key=_number)

    def served(self, ticket: Ticket, cost: float) -> None:
        """Charge `cost` to the client and the level of a ticket that goes. Call before `leave`."""
        self._clients.charge(ticket.client, cost / ticket.weight)
        self._clients.forget(self._lanes)
        if ticket.client in self._levels:
            self._levels[ticket.client].charge(ticket.level, cost / share_of(ticket.level))

    def _push_out(self) -> Ticket:
        longest = max(self._lanes, key=lambda client: self._counts[client] / _weight(self._lanes[client]))
        lanes = [lane for level in self._lanes[longest].values() for lane in level.values()]
        others = filter(None, (next((t for t in reversed(lane) if not t.patient), None) for lane in lanes))
        least = max(others, key=_least, default=None) or max((next(reversed(lane)) for lane in lanes), key=_least)
        self.leave(least)
        least.out, least.before = True, len(self)
        return least


def _weight(levels: dict[int, dict[str, Lane]]) -> float:
    lanes = next(iter(levels.values()))
    return next(iter(next(iter(lanes.values())))).weight


def _number(ticket: Ticket) -> int:
    return ticket.number


def _least(ticket: Ticket) -> tuple[int, int]:
    return ticket.level, ticket.number
