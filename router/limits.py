"""What the settings allow, as the values that the request's path takes."""

from router.clients import Clients
from router.http.gateway import Admission
from router.http.keys import KeySet
from router.http.realtime import RealtimeLimits
from router.settings import Settings

HANDSHAKE_S = 30.0
"""For a worker to answer a WebSocket handshake: it computes nothing before."""


def admission_of(settings: Settings, clients: Clients) -> Admission:
    """Who may do what, and how much of it."""
    worker_key = settings.worker_api_key.value if settings.worker_api_key else ""
    return Admission(
        clients=clients,
        admin_keys=KeySet([settings.admin_api_key.value] if settings.admin_api_key else []),
        forward_credentials=not clients.required and not worker_key,
        worker_authorization=f"authorization: Bearer {worker_key}\r\n".encode() if worker_key else b"",
        max_in_flight=settings.max_requests_in_flight,
        max_body_bytes=settings.max_body_bytes,
        body_timeout_s=settings.body_timeout_s,
        decision_headers=settings.decision_headers,
        session_header=settings.session_header.lower().encode(),
    )


def realtime_limits(settings: Settings) -> RealtimeLimits:
    """Of WebSocket sessions."""
    return RealtimeLimits(
        connect_s=settings.connect_timeout_s,
        handshake_s=HANDSHAKE_S,
        idle_s=settings.realtime_idle_s,
        drain_s=settings.realtime_drain_s,
        max_attempts=settings.max_attempts,
    )
