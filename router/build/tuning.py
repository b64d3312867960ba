"""Values of a router that no operator sets: each is a constant at the place that uses it.

A test or a drill gives the router other values, so that it need not wait as long, or so that a run repeats.
"""

import dataclasses

from router.engines.probe import HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S, SCRAPE_INTERVAL_S, UNHEALTHY_AFTER
from router.fleet.breaker import FAILURES, OPEN_S
from router.fleet.warmth import RAMP_S
from router.http.realtime import DRAIN_S, IDLE_S
from router.members.reconcile import LEAVE_S
from router.members.source import INTERVAL_S
from router.routing.waiting_room import QUEUE_SHARE
from router.wire.protocol import CLIENT_TIMEOUT_S, HEADER_TIMEOUT_S, KEEP_ALIVE_S


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Given to a router beside its settings."""

    seed: int | None = None
    """Of all random choices. None: drawn at start, so that several routers do not choose alike."""
    block_tokens: int = 0
    """Length of the prefix index's blocks. 0: the smallest multiple of the worker's own that is at least 64."""
    discovery_interval_s: float = INTERVAL_S
    leave_s: float = LEAVE_S
    scrape_interval_s: float = SCRAPE_INTERVAL_S
    health_interval_s: float = HEALTH_INTERVAL_S
    health_timeout_s: float = HEALTH_TIMEOUT_S
    unhealthy_after: int = UNHEALTHY_AFTER
    breaker_failures: int = FAILURES
    breaker_open_s: float = OPEN_S
    client_timeout_s: float = CLIENT_TIMEOUT_S
    header_timeout_s: float = HEADER_TIMEOUT_S
    keepalive_timeout_s: float = KEEP_ALIVE_S
    realtime_idle_s: float = IDLE_S
    realtime_drain_s: float = DRAIN_S
    queue_share: float = QUEUE_SHARE
    warm_in_s: float = RAMP_S


DEFAULTS = Tuning()
