"""Places in line that are kept for a while for clients that hung up: the same turn sent again stands where it stood.

Clients and proxies give up on a silent connection, and then send the same again. Without this a long line would be the
longer for those whose clients are impatient.
"""

from typing import NamedTuple

from router.routing.fair_queue import Ticket
from router.sessions.recognition.turn import RETURN_S

MAX_KEPT = 256
"""Places that are kept for one client at once. Its oldest is given up for another one of its own."""


class _Stood(NamedTuple):
    number: int
    came: float
    since: float
    left_at: float


class KeptPlaces:
    """By client, model and turn."""

    def __init__(self) -> None:
        self._places: dict[str, dict[tuple[str, bytes], _Stood]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def keep(self, ticket: Ticket, now: float) -> None:
        """Its client has hung up."""
        if ticket.turn:
            self._drop_old(now)
            places = self._places.pop(ticket.client, {})
            if len(places) >= MAX_KEPT:
                del places[next(iter(places))]
            places[ticket.group, ticket.turn] = _Stood(ticket.number, ticket.came, ticket.since, now)
            self._places[ticket.client] = places  # the last one: clients are in the order of their last places

    def take(self, ticket: Ticket, now: float) -> bool:
        """Give it the place where its turn stood before; False if none is kept. A place is given once."""
        stood = self._places.get(ticket.client, {}).pop((ticket.group, ticket.turn), None)
        if stood is None or now - stood.left_at > RETURN_S:
            return False
        ticket.number, ticket.came, ticket.since = stood.number, stood.came, stood.since
        return True

    def _drop_old(self, now: float) -> None:
        """Of each client whose last place is too old, all."""
        while self._places:
            client, places = next(iter(self._places.items()))
            if any(now - stood.left_at <= RETURN_S for stood in reversed(places.values())):
                return
            del self._places[client]
