"""What this router has running on one worker, and the prefill that waits there. Leases alone write it.

What other routers have there is no part of it: callers bring the seconds of prefill that those queued.
"""

from collections.abc import Callable

from router.fleet.lateness import Lateness


class Running:
    """The counters of one worker's leases. They change together, and come to nothing when the last lease ends."""

    __slots__ = ("_prefill_ends", "held_tokens", "in_flight", "lateness", "queued_tokens")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.in_flight = 0
        """Requests dispatched whose last byte has not come."""
        self.held_tokens = 0
        """Prompt tokens of the requests in flight."""
        self.queued_tokens = 0
        """Uncached prompt tokens of the requests in flight whose first byte has not come."""
        self.lateness = Lateness(clock)
        self._prefill_ends = 0.0

    def queue(self, tokens: int, rate: float, free_at: float) -> float:
        """Queue `tokens` more uncached prompt tokens, behind those of earlier requests and not before `free_at`.
        Returns when they should be computed, at `rate` tokens per second."""
        self.queued_tokens += tokens
        self._prefill_ends = max(free_at, self._prefill_ends) + tokens / rate
        return self._prefill_ends

    def unqueue(self, tokens: int, rate: float, free_at: float) -> None:
        """Take `tokens` uncached prompt tokens out of the queue: they are computed, or given up."""
        self.queued_tokens -= tokens
        self._prefill_ends = min(self._prefill_ends, free_at + self.queued_tokens / rate)

    def ahead(self, now: float, rate: float) -> int:
        """Tokens of prefill that a request would find before it at `now`.

        What waits is worked off while it waits, at the worker's rate: counting all of it until the first byte would
        make every busy worker look twice as busy, and drive sessions off their prefix. Once the estimate has run out
        and the first bytes have still not come, the worker is slower than believed, and the doubt grows with the
        delay."""
        if not self.queued_tokens:
            return 0
        return min(self.queued_tokens, round(abs(self._prefill_ends - now) * rate))
