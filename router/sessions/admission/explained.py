"""What is told of one turn to an operator who asks: whose it is, whether it fits, and for how long it would wait."""

from collections.abc import Sequence
from typing import Any

from router.fleet.worker import Worker
from router.sessions.admission.admission import SessionAdmission
from router.sessions.memory.session import Ending
from router.sessions.recognition.turn import Turn


def turn_explained(admission: SessionAdmission, turn: Turn, workers: Sequence[Worker]) -> dict[str, Any]:
    """Of its session and its model."""
    session, demand = turn.session, admission.demand(turn.group)
    place = session.place if session is not None else None
    homes = [worker.id for worker in workers if place is not None and admission.set_of(worker) is place]
    return {
        "standing": turn.standing,
        "worker": homes[0] if homes else None,
        "turns": session.turns if session is not None else 0,
        "needs_tokens": turn.wanted.tokens,
        "holds_back": admission.holds_back(turn.group),
        "refused": admission.too_many(turn, workers) and not admission.has_room(turn, workers),
        "turns_waiting": len(demand.waiting),
        "room_is_made_after_s": admission.claim_after_s(turn.group, workers, turn.streams),
        "tstar_s": demand.tstar_s,
        "lease_s": {ending.name.lower(): demand.lease_s(ending) for ending in Ending},
    }


def room_explained(admission: SessionAdmission, turn: Turn, worker: Worker) -> dict[str, Any]:
    """Of one worker's memory."""
    place = admission.set_of(worker)
    return {
        "session_tokens": place.tokens if place is not None else 0,
        "session_room_tokens": admission.room(worker),
        "fits": admission.fits(turn, worker),
    }
