"""Keeps requests away from a worker that fails, and lets one at a time try whether it is well again.

Only a worker's own faults count: never a 4xx (the worker answered: `success`), never a client that left (`abandon`).
A worker that sheds load (503) is busy, not broken: that is counted apart and opens late. Nothing here waits or does
I/O; `allow` and `success` run for every request and every candidate, and stay below a microsecond while all is well.
"""

from collections.abc import Callable
from enum import Enum

FAILURES = 5
"""Faults after which a worker is set aside. Danger: with 1, one reset takes a worker and its cache out of use."""
OPEN_S = 10.0
"""Seconds for which a worker is set aside before one request tries it. That request pays for a worker that is still
broken; a longer time keeps a worker that is well again out of use."""
WINDOW_S = 10
"""Span over which the share of failures is taken, in whole seconds (one bucket each)."""
SATURATION_FACTOR = 4
"""The breaker opens for 503s alone after this many times `failures` shed requests in a row."""
_NEVER = float("-inf")
_HTTP_SERVER_ERROR = 500
_NOT_IMPLEMENTED = 501
_UNAVAILABLE = 503


class BreakerState(Enum):
    """The states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Fault(Enum):
    """The faults of a worker."""

    CONNECT = "connect"
    """No connection: refused, unreachable, TLS."""
    RESET = "reset"
    """The connection ended before the first byte."""
    TIMEOUT = "timeout"
    """No connection or no first byte in time."""
    SILENT = "silent"
    """An answer began, and its next byte did not come in time."""
    ERROR = "error"
    """An answer of 500 and above, other than 501 and 503."""
    SATURATED = "saturated"
    """503: the worker is alive and takes no more requests at present."""


def fault_of_status(status: int) -> Fault | None:
    """The fault that an HTTP status means; None where the worker did its part (also for 501, which it will never
    serve)."""
    if status < _HTTP_SERVER_ERROR or status == _NOT_IMPLEMENTED:
        return None
    return Fault.SATURATED if status == _UNAVAILABLE else Fault.ERROR


class Breaker:
    """One worker's breaker.

    Opens after `failures` faults in a row, or when more than half of the requests of the last ten seconds failed and at
    least `failures` did (requests before the first of these faults are not counted), or after `SATURATION_FACTOR *
    failures` 503s in a row. After `open_s` seconds one request at a time may try; its success closes.

    A worker that begins every answer and then falls silent succeeds and fails by turns. So `failures` such answers
    with no whole one between open as well, and then only a whole answer closes, not a first byte."""

    __slots__ = (
        "_bad",
        "_clean",
        "_clock",
        "_failures",
        "_good",
        "_in_a_row",
        "_open_s",
        "_seconds",
        "_shed_in_a_row",
        "_silent",
        "_trial_since",
        "_until",
        "opened",
    )

    def __init__(self, clock: Callable[[], float], failures: int = FAILURES, open_s: float = OPEN_S) -> None:
        if failures < 1 or open_s <= 0:
            raise ValueError("a breaker needs failures >= 1 and open_s > 0")
        self._clock = clock
        self._failures = failures
        self._open_s = open_s
        self._clean = True
        """No fault within the window: nothing to count."""
        self.opened = False
        """Open or half-open."""
        self._until = 0.0
        self._trial_since = _NEVER
        self._in_a_row = 0
        self._shed_in_a_row = 0
        self._silent = 0
        """Answers that fell silent since the last whole one."""
        self._good = [0] * WINDOW_S
        self._bad = [0] * WINDOW_S
        self._seconds = [0] * WINDOW_S

    @property
    def state(self) -> BreakerState:
        """HALF_OPEN from the moment at which a request may try."""
        if not self.opened:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._until else BreakerState.HALF_OPEN

    def allow(self) -> bool:
        """May a request go there now? Changes nothing: ask for as many candidates as there are."""
        if not self.opened:
            return True
        now = self._clock()
        return now >= self._until and now >= self._trial_since + self._open_s

    def begin(self) -> None:
        """A request goes there: call at dispatch. While half-open it is the one that tries. Its verdict should follow
        (`success`, `failure` or `abandon`); after `open_s` without one, another may try."""
        if self.opened:
            self._trial_since = self._clock()

    def success(self) -> None:
        """The worker answered as it should, so far: its first byte came; a 4xx or 501 counts."""
        if self._clean:
            return
        if self.opened:
            if self._clock() >= self._until and self._silent < self._failures:
                self._close()
            return
        self._in_a_row = self._shed_in_a_row = 0
        second = self._bucket()
        if not any(self._bad):
            self._close()
            return
        self._good[second] += 1

    def whole(self) -> None:
        """An answer came to its last byte."""
        if self._silent:
            self._silent = 0
            self.success()

    def failure(self, fault: Fault) -> None:
        """The worker failed a request. While open it changes nothing: that request was sent before."""
        if fault is Fault.SILENT:
            self._silent += 1
        if self.opened:
            if self._clock() >= self._until:
                self._open()
            return
        self._clean = False
        if fault is Fault.SATURATED:
            self._shed_in_a_row += 1
            if self._shed_in_a_row >= SATURATION_FACTOR * self._failures:
                self._open()
            return
        self._in_a_row += 1
        self._bad[self._bucket()] += 1
        bad = sum(self._bad)
        if max(self._in_a_row, self._silent) >= self._failures or (bad >= self._failures and bad > sum(self._good)):
            self._open()

    def abandon(self) -> None:
        """The request ended without a verdict (the client left): another may try."""
        self._trial_since = _NEVER

    def _open(self) -> None:
        self._clean = False
        self.opened = True
        self._until = self._clock() + self._open_s
        self._trial_since = _NEVER

    def _close(self) -> None:
        self._clean = True
        self.opened = False
        self._trial_since = _NEVER
        self._in_a_row = self._shed_in_a_row = self._silent = 0
        self._good = [0] * WINDOW_S
        self._bad = [0] * WINDOW_S

    def _bucket(self) -> int:
        """The present second's bucket; buckets that fell out of the window are emptied."""
        now = int(self._clock())
        for i, second in enumerate(self._seconds):
            if second <= now - WINDOW_S:
                self._good[i] = self._bad[i] = 0
        bucket = now % WINDOW_S
        self._seconds[bucket] = now
        return bucket
