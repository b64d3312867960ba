"""Which requests wait in the router's line, for what and for how long, and what admission does with each model's
sessions."""

from itertools import islice
from typing import Any

from router.dial.quoting import one_line
from router.fleet.workers import Fleet
from router.routing.choose import available
from router.routing.fair_queue import Ticket
from router.routing.waiting_room import MEMORY, SATURATED, WaitingRoom
from router.sessions.admission.admission import SessionAdmission

MOST_WAITING = 50
"""Requests in line that are shown."""
MOST_MODELS = 32
"""Models that are shown."""


def waiting(room: WaitingRoom, now: float) -> list[dict[str, Any]]:
    """The first `MOST_WAITING` requests in line, in the order in which they came."""
    return [_ticket(ticket, now) for ticket in islice(room.line.tickets, MOST_WAITING)]


def _ticket(ticket: Ticket, now: float) -> dict[str, Any]:
    return {
        "model": one_line(ticket.group),
        "client": ticket.client,
        "waits_for": MEMORY if ticket.lacks_room else SATURATED,
        "known_session": ticket.patient,
        "waited_s": max(0.0, now - ticket.came),
    }


def models(fleet: Fleet, admission: SessionAdmission) -> list[dict[str, Any]]:
    """What admission does with the sessions of each model. Reading it makes no model known to it."""
    known = dict(admission.demands())
    rows = []
    for name, group in islice(fleet.groups.items(), MOST_MODELS):
        usable, demand = available(group), known.get(name)
        rows.append(
            {
                "model": one_line(name),
                "workers": len(group.workers),
                "available": len(usable),
                "holds_back": demand is not None and admission.holds_back(name),
                "turns_waiting": len(demand.waiting) if demand is not None else 0,
                "waiting_tokens": demand.waiting_tokens if demand is not None else 0,
                "room_is_made_after_s": admission.claim_after_s(name, usable) if demand is not None else None,
            }
        )
    return rows
