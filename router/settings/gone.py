"""Settings that this version no longer has: accepted from every source, ignored, and named in one warning.

A name stays here for one version, so that an upgrade does not stop at a file that was right before. What it was set to
does not matter, and is not read.
"""

from collections.abc import Iterable

NOTHING = "Nothing to do: the value is fixed."

GONE = {
    "ask_timeout_s": f"{NOTHING} ask_workers=false asks no worker.",
    "block_tokens": "Nothing to do: it follows from the blocks that the workers report.",
    "body_timeout_s": NOTHING,
    "breaker_failures": NOTHING,
    "breaker_open_s": NOTHING,
    "client_timeout_s": NOTHING,
    "connect_timeout_s": f"{NOTHING} first_byte_timeout_s bounds the whole wait.",
    "discovery_interval_s": NOTHING,
    "encode_wait_share": NOTHING,
    "header_timeout_s": NOTHING,
    "health_interval_s": NOTHING,
    "health_timeout_s": NOTHING,
    "keepalive_timeout_s": "Nothing to do: it is longer than balancers keep idle connections.",
    "kubernetes_credentials": "Outside the cluster name `kubectl proxy` in kubernetes_api.",
    "leave_s": NOTHING,
    "max_header_bytes": NOTHING,
    "queue_max_requests": "It is a quarter of max_requests_in_flight.",
    "realtime_drain_s": "It is 30 s, and at most half of drain_timeout_s.",
    "realtime_idle_s": NOTHING,
    "retry_budget": "max_attempts=1 retries nothing.",
    "scrape_interval_s": NOTHING,
    "seed": "Nothing to do: it is drawn at start.",
    "unhealthy_after": NOTHING,
    "warm_in_s": NOTHING,
    "write_timeout_s": NOTHING,
}
"""Each name, and what to do instead."""


def warning(given: Iterable[tuple[str, str]]) -> str:
    """One line for all of them, each as (name, the name as its source spells it). Empty for none."""
    named = "; ".join(f"{origin} ({GONE[name].rstrip('.')})" for name, origin in given)
    return f"ignored, since this version has no such setting: {named}" if named else ""
