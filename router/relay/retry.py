"""When an attempt failed before its first byte: may there be another one?

A budget keeps retries a small share of traffic, so that a fleet in trouble is not given more work for it. A refused
connection cost no worker anything and is not counted against it.
"""

RATIO = 0.1
"""Retries for each request: over time, this share of the traffic. Danger: with 1, an outage doubles the load of the
workers that are left."""

RESERVE = 256.0
"""Retries at hand at start and the most that can be saved up: the requests in flight on one dying worker all need one
at the same moment."""

FREE_KINDS = frozenset({"connect", "connect_timeout"})

ONCE_KIND = "status_500"
"""A worker's error that may be the request's own fault: one other worker is asked, and its answer stands. Danger: more
attempts, and one request that no engine can take makes the whole fleet look sick."""


class RetryBudget:
    """A token bucket: every request pays in `ratio`, every retry takes out one."""

    def __init__(self, ratio: float, max_attempts: int) -> None:
        self._ratio = ratio
        self._max_attempts = max_attempts
        self._tokens = RESERVE if ratio > 0 else 0.0

    def request(self) -> None:
        """A new request came."""
        if self._tokens < RESERVE:
            self._tokens += self._ratio

    def allows(self, kind: str, attempts: int) -> bool:
        """May a request that failed with `kind` after `attempts` attempts be tried again? Takes nothing."""
        most = min(2, self._max_attempts) if kind == ONCE_KIND else self._max_attempts
        return attempts < most and (kind in FREE_KINDS or self._tokens >= 1)

    def spend(self, kind: str) -> None:
        """It is tried again."""
        if kind not in FREE_KINDS:
            self._tokens -= 1
