"""Workers as an operator sees them: state, load, and their KV memory as the sessions in it."""

import time
from itertools import islice
from typing import Any

from router.fleet.others import NOTHING
from router.fleet.worker import Worker
from router.observe.metrics import Instruments
from router.sessions.admission.admission import SessionAdmission
from router.sessions.memory.session import Session

MOST_SESSIONS = 32
"""Sessions that are told of one worker: those that came last are counted only."""


def describe(worker: Worker) -> dict[str, Any]:
    """A worker for the admin API. Load is that of all routers; state and breaker are as this router sees them."""
    others = worker.elsewhere(time.monotonic()) if worker.elsewhere is not None else NOTHING
    return {
        "id": worker.id,
        "url": worker.url,
        "name": worker.name,
        "rank": worker.rank if len(worker.ranks) > 1 else None,
        "source": worker.source,
        "role": worker.labels.role,
        "state": worker.state.value,
        "reason": worker.reason,
        "breaker": worker.breaker.state.value,
        "models": [card.id for card in worker.models],
        "engine": worker.facts.engine if worker.facts else None,
        "version": worker.facts.version if worker.facts else None,
        "block_tokens": worker.facts.block_tokens if worker.facts else None,
        "kv_capacity_tokens": worker.pool.capacity_tokens,
        "alarms": sorted(worker.alarms),
        "kv_kept_tokens": worker.pool.kept_tokens,
        "in_flight": worker.running.in_flight + others.in_flight,
        "in_flight_here": worker.running.in_flight,
        "queued_tokens": worker.running.queued_tokens + others.queued_tokens,
        "held_tokens": worker.running.held_tokens + others.held_tokens,
        "engine_waiting": worker.gauges.waiting,
        "kv_usage": worker.gauges.kv_usage,
        "prefill_rate": worker.prefill_rate,
        "prefill_pace": worker.pace.factor,
        "restarts": worker.restarts,
    }


def hits(instruments: Instruments, worker: Worker) -> dict[str, float]:
    """Over the answers that said what was cached: the tokens of their prompts, those predicted to be cached, and those
    that were."""
    label = (worker.id,)
    return {
        "prompt_tokens": instruments.reported_prompt_tokens.values.get(label, 0.0),
        "predicted_tokens": instruments.predicted_cached_tokens.values.get(label, 0.0),
        "cached_tokens": instruments.cached_tokens.values.get(label, 0.0),
        "not_reported": instruments.learn_skipped.values.get(label, 0.0),
    }


def memory(worker: Worker, admission: SessionAdmission, indexed_tokens: int, now: float) -> dict[str, Any]:
    """What is believed to be in its KV memory. `indexed_tokens`: all that the prefix index has of it."""
    place = admission.set_of(worker)
    sessions = place.sessions if place is not None else {}
    return {
        "capacity_tokens": worker.pool.capacity_tokens,
        "room_tokens": admission.room(worker),
        "indexed_tokens": indexed_tokens,
        "session_tokens": place.tokens if place is not None else 0,
        "promised_tokens": sum(place.claims.values()) if place is not None else 0,
        "sessions_total": len(sessions),
        "sessions": [_session(session, now) for session in islice(sessions, MOST_SESSIONS)],
    }


def _session(session: Session, now: float) -> dict[str, Any]:
    """Those that share a beginning each count it. A pausing session's lease may be over: then its memory is kept until
    somebody needs it."""
    state = "leaving" if session.leaving else "running" if session.running else "pausing"
    return {
        "state": state,
        "tokens": session.held_tokens,
        "turns": session.turns,
        "inside_s": max(0.0, now - session.since),
        "idle_s": 0.0 if session.running else max(0.0, now - session.ended_at),
        "lease_s": 0.0 if session.running else max(0.0, session.kept_until - now),
    }
