"""`GET /admin/status`: one JSON object, made when it is asked for, from what the other parts hold.

What must not be broken: its size is bounded whatever the fleet's is (under 1 MB), and making it takes the event loop a
few milliseconds at most.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from router.dial.quoting import one_line
from router.fleet.worker import Worker, WorkerState
from router.fleet.workers import Fleet
from router.observe.metrics import Instruments
from router.prefix.residency import Residency
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.status.decisions import DecisionLog
from router.status.notices import Shared, notices
from router.status.prefixes import indexed_tokens, prefixes
from router.status.waiting import MOST_MODELS, models, waiting
from router.status.workers import describe, hits, memory

MOST_WORKERS = 100
"""Workers that are told. Those that take no requests come first, so that none of them is left out."""

MOST_NAMES = 16
"""Models that are named of one worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusParts:
    """What the status is read from."""

    fleet: Fleet
    admission: SessionAdmission
    waiting_room: WaitingRoom
    residency: Residency
    instruments: Instruments
    decisions: DecisionLog
    policy_name: str
    started_at: int
    draining: Callable[[], bool]
    sharing: Callable[[], dict[str, Any]]
    """What routers share."""
    savings: Callable[[], list[dict[str, Any]]]
    """What shadow policies would have found cached, by model."""
    savings_table: Callable[[float | None], str]
    """The same by month and client, as CSV, with money at a price of a worker hour."""


def status(parts: StatusParts) -> dict[str, Any]:
    """The whole status, as of now. From now on decisions are kept for the next reading."""
    now = time.monotonic()
    workers = sorted(parts.fleet.workers.values(), key=_order)
    shown = workers[:MOST_WORKERS]
    sharing = parts.sharing()
    shared = Shared(sharing["redis_up"], sharing["secret_differs"]) if sharing["redis"] else None
    return {
        "at": time.time(),
        "router": _router(parts),
        "totals": _totals(parts.instruments, workers),
        "notices": [notice._asdict() for notice in notices(workers, parts.instruments, parts.admission, shared)],
        "workers_total": len(workers),
        "workers": [_worker(parts, worker, now) for worker in shown],
        "models": models(parts.fleet, parts.admission),
        "waiting_total": len(parts.waiting_room),
        "waiting": waiting(parts.waiting_room, now),
        "decisions": parts.decisions.watch(),
        "prefixes": prefixes(parts.residency, shown),
        "sharing": sharing,
        "savings": parts.savings()[:MOST_MODELS],
    }


def _order(worker: Worker) -> tuple[bool, str, int]:
    """Those that take no requests come first; the ranks of one server stand together."""
    return worker.state is WorkerState.HEALTHY, worker.url, worker.rank


def _router(parts: StatusParts) -> dict[str, Any]:
    return {
        "version": version("warmroute"),
        "policy": parts.policy_name,
        "started_at": parts.started_at,
        "draining": parts.draining(),
    }


def _worker(parts: StatusParts, worker: Worker, now: float) -> dict[str, Any]:
    facts = describe(worker)
    return {
        **facts,
        "reason": one_line(facts["reason"]),
        "models": [one_line(name) for name in facts["models"][:MOST_NAMES]],
        "version": one_line(facts["version"] or "") or None,
        "hits": hits(parts.instruments, worker),
        "memory": memory(worker, parts.admission, indexed_tokens(parts.residency, worker), now),
    }


def _totals(instruments: Instruments, workers: list[Worker]) -> dict[str, Any]:
    """Since the start of this process, over all models."""
    ttft = instruments.ttft
    return {
        "requests": sum(list(instruments.duration.counts().values())),
        "in_flight": sum(worker.running.in_flight for worker in workers),
        "prompt_tokens": sum(list(instruments.reported_prompt_tokens.values.values())),
        "predicted_tokens": sum(list(instruments.predicted_cached_tokens.values.values())),
        "cached_tokens": sum(list(instruments.cached_tokens.values.values())),
        "ttft_p50_s": ttft.quantile(0.5),
        "ttft_p90_s": ttft.quantile(0.9),
        "answered": sum(list(ttft.counts().values())),
    }
