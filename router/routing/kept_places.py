"""Places in line that are kept for a while for clients that hung up: the same turn sent again stands where it stood.

Clients and proxies give up on a silent connection, and then send the same again. Without this a long line would be the
longer for those whose clients are impatient.
"""

from typing import NamedTuple

from router.routing.fair_queue import Ticket
from router.sessions.turn import RETURN_S

MAX_KEPT = 4096
"""Places that are kept at once. The oldest is given up for another one."""


class _Stood(NamedTuple):
    number: int
    came: float
    since: float
    left_at: float


class KeptPlaces:
    """By client, model and turn."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, bytes], _Stood] = {}

    def __len__(self) -> int:
        return len(self._places)

    def keep(self, ticket: Ticket, now: float) -> None:
        """Its client has hung up."""
        if ticket.turn:
            self._drop_old(now)
            self._places[_key(ticket)] = _Stood(ticket.number, ticket.came, ticket.since, now)

    def take(self, ticket: Ticket, now: float) -> bool:
        """Give it the place where its turn stood before; False if none is kept. A place is given once."""
        stood = self._places.pop(_key(ticket), None)
        if stood is None or now - stood.left_at > RETURN_S:
            return False
        ticket.number, ticket.came, ticket.since = stood.number, stood.came, stood.since
        return True

    def _drop_old(self, now: float) -> None:
        for key, stood in list(self._places.items()):
            if now - stood.left_at <= RETURN_S and len(self._places) < MAX_KEPT:
                return
            del self._places[key]


def _key(ticket: Ticket) -> tuple[str, str, bytes]:
    return ticket.client, ticket.group, ticket.turn
