"""What the settings allow, as the values that the request's path takes."""

import time
from pathlib import Path

from router.build.tuning import Tuning
from router.clients import Clients
from router.clients.keys import KeySet
from router.fleet.worker import MIN_CHAIN_BLOCK_TOKENS
from router.http.gateway import GatewayRules
from router.http.realtime import HANDSHAKE_S, RealtimeLimits
from router.prefix.residency import Limits
from router.relay.worker_client import CONNECT_TIMEOUT_S
from router.routing.line import LineLimits
from router.settings import Settings
from router.wire.routes import Paths


def gateway_rules(settings: Settings, tuning: Tuning, clients: Clients) -> GatewayRules:
    """The clients' rights and limits."""
    worker_key = settings.worker_api_key.value if settings.worker_api_key else ""
    return GatewayRules(
        clients=clients,
        paths=Paths(settings.extra_paths),
        admin_keys=KeySet([settings.admin_api_key.value] if settings.admin_api_key else []),
        forward_credentials=not clients.required and not worker_key,
        worker_authorization=f"Bearer {worker_key}".encode() if worker_key else b"",
        max_in_flight=settings.max_requests_in_flight,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=tuning.client_timeout_s,
        decision_headers=settings.decision_headers,
        session_header=settings.session_header.lower().encode(),
    )


def realtime_limits(settings: Settings, tuning: Tuning) -> RealtimeLimits:
    """Of WebSocket sessions. They are closed within half of the drain, so that none is cut at its end."""
    return RealtimeLimits(
        connect_s=CONNECT_TIMEOUT_S,
        handshake_s=HANDSHAKE_S,
        idle_s=tuning.realtime_idle_s,
        drain_s=min(tuning.realtime_drain_s, settings.drain_timeout_s / 2),
    )


def index_limits(settings: Settings, tuning: Tuning) -> Limits:
    """Of the prefix index: of each router's own, and of what stands for it while Redis is away."""
    return Limits(
        max_blocks=settings.index_max_blocks,
        default_capacity_blocks=settings.default_kv_tokens // (tuning.block_tokens or MIN_CHAIN_BLOCK_TOKENS),
        pending_ttl_s=settings.first_byte_timeout_s,
    )


def line_limits(settings: Settings, tuning: Tuning) -> LineLimits:
    """When prompts wait in the router, how many and how long."""
    most = max(1, int(settings.max_requests_in_flight * tuning.queue_share))
    return LineLimits(settings.saturation_wait_s, settings.queue_timeout_s, most)


def clients_of(settings: Settings) -> Clients:
    """The clients that may send requests. Raises KeysFileError."""
    path = Path(settings.keys_file) if settings.keys_file else None
    return Clients((key.value for key in settings.api_keys), path, time.monotonic)
