"""What this router tells the others of its sessions, made of how they are now. Pure."""

from collections.abc import Sequence
from enum import Enum

from router.fleet.worker import Worker
from router.prefix.index import HASH_BYTES
from router.sessions.admission.admission import SessionAdmission
from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.turn import Turn
from router.sessions.shared.batch import (
    ANSWERING,
    BROKEN,
    ENDING,
    LEAVING,
    MAX_ANCHORS,
    MAX_CLAIMS,
    MAX_COUNT,
    MAX_MODELS,
    MAX_MS,
    MAX_NAME,
    MAX_TOKENS,
    OUTSIDE,
    RETURNED,
    VERSION,
    Batch,
    Claim,
    NameNumbers,
    SessionState,
    Waits,
    pack,
)

Crowd = tuple[list[tuple[str, int, int]], list[tuple[str, int]]]
"""Models, each with turns and tokens that wait; workers, each with tokens that are claimed."""


class Taken(Enum):
    """What became of a state that takes room."""

    YES = "yes"
    NO = "no"
    """Another router has taken room meanwhile. This router knows of it by now."""
    UNSURE = "unsure"
    """The others may have been told, or not."""


def batch_of(states: Sequence[SessionState], crowd: Crowd, names: NameNumbers, asks: bool) -> bytes:
    """As it is written. `names` has those of the states."""
    waits = [Waits(names.number(model), turns, tokens) for model, turns, tokens in crowd[0]]
    claims = [Claim(names.number(holder), tokens) for holder, tokens in crowd[1]]
    return pack(Batch(VERSION, asks, names.all(), waits, claims, list(states)))


def crowd_of(admission: SessionAdmission) -> Crowd:
    """Who waits for room in this router."""
    waits = [
        (model, min(len(demand.waiting), MAX_COUNT), min(demand.waiting_tokens, MAX_TOKENS))
        for model, demand in admission.demands()
        if demand.waiting and len(model) <= MAX_NAME
    ]
    if not waits:
        return [], []
    claims = [
        (place.holder, min(max(0, tokens), MAX_TOKENS))
        for place in admission.sets.values()
        for turn, tokens in place.claims.items()
        if isinstance(turn, Turn)
    ]
    return waits[:MAX_MODELS], claims[:MAX_CLAIMS]


def state_of(session: Session, pauses: bool, names: NameNumbers, now: float) -> SessionState:
    """A session's. `pauses`: its next turn has not come yet. What is new of its anchors counts as told."""
    place: WorkingSet | None = session.place
    anchors, told = session.anchors[:MAX_ANCHORS], session.told_anchors
    known = len(told) if anchors[: len(told)] == told else 0
    session.told_anchors = anchors
    flags = ANSWERING * session.answering + LEAVING * session.leaving + RETURNED * (not pauses)
    flags += BROKEN * session.broken
    return SessionState(
        session.id,
        names.number(session.group),
        OUTSIDE if place is None else names.number(place.holder),
        session.runs_here,
        flags + ENDING * session.ending,
        min(session.turns, MAX_COUNT),
        min(session.prompt_tokens, MAX_TOKENS),
        min(session.held_tokens, MAX_TOKENS),
        place.anchor_tokens if place is not None else 0,
        known,
        b"".join(anchors[known:]),
        _ms(now - session.since),
        _ms(now - session.ended_at),
        _ms(session.kept_until - now),
        session.leaves[-1] if session.leaves else b"",
        session.own_id,
        session.family_id,
        session.start,
    )


def taking(turn: Turn, session: Session, worker: Worker, crowd: Crowd, now: float) -> bytes:
    """The batch that takes room for a turn: its session's state as it will be when the turn has begun at `worker`."""
    names, wanted, hint = NameNumbers(), turn.wanted, turn.hint
    state = SessionState(
        session.id,
        names.number(turn.group),
        names.number(worker.holder),
        session.runs_here + 1,
        BROKEN * turn.broken + ENDING * session.ending,
        min(session.turns, MAX_COUNT),
        min(session.prompt_tokens, MAX_TOKENS),
        min(wanted.tokens, MAX_TOKENS),
        wanted.anchor_tokens,
        0,
        b"".join(wanted.anchors[:MAX_ANCHORS]),
        0,
        _ms(now - session.ended_at),
        0,
        session.leaves[-1] if session.leaves else b"",
        session.own_id or hint.own,
        session.family_id or hint.family,
        turn.prompt.chain[:HASH_BYTES] if hint.family else b"",
    )
    return batch_of([state], crowd, names, False)


def _ms(seconds: float) -> int:
    return min(max(0, int(seconds * 1000)), MAX_MS)
