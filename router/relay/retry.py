"""What becomes of an attempt: is it the answer, may another worker be tried, or is it over?

`next_attempt` is the only place that says so: for prompts, for what is routed by load, for WebSocket handshakes and for
the simulator. A budget keeps retries a small share of traffic, so that an overloaded fleet does not get more work. A
refused connection cost no worker anything and is free.
"""

from enum import Enum
from typing import Generic, NamedTuple, TypeVar

import msgspec

from router.wire.errors import UnservedError

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

RETRIED_STATUS = frozenset({500, 502, 503, 504})

R = TypeVar("R")


class AttemptOutcome(msgspec.Struct, Generic[R], frozen=True):
    """What came of an attempt, or of one step of it."""

    kind: str = ""
    """How the worker failed, as a label; empty when it did its part."""
    status: int = 0
    """Of its answer; 0 without one."""
    started: bool = False
    """The client has got some of the answer."""
    note: str = ""
    """How the request ended, where that is no fault of the worker's."""
    first_byte_at: float = 0.0
    reply: R | None = None
    """The answer, to be relayed."""

    @property
    def label(self) -> str:
        """How the request ended."""
        return self.note or self.kind or "ok"


def answered(status: int, reply: R | None = None, first_byte_at: float = 0.0) -> AttemptOutcome[R]:
    """A worker answered with this status: some of them are failures."""
    kind = f"status_{status}" if status in RETRIED_STATUS else ""
    return AttemptOutcome(kind, status, first_byte_at=first_byte_at, reply=reply)


class Next(Enum):
    """What to do after an attempt."""

    ANSWER = "answer"
    """What the worker said is the answer."""
    AGAIN = "again"
    """Try another worker."""
    BREAK_OFF = "break_off"
    """The answer has begun and will not be completed: `broke_off`."""
    GIVE_UP = "give_up"
    """No worker answered: `gave_up`."""


class Budget(NamedTuple):
    """What is left for retries at a moment."""

    retries: float
    max_attempts: int


def next_attempt(outcome: AttemptOutcome[R], attempts: int, others: bool, budget: Budget) -> Next:
    """The step after the outcome of attempt number `attempts`. `others`: a worker that was not tried can take the
    request. Pure."""
    kind = outcome.kind
    if not kind:
        return Next.ANSWER
    if outcome.started:
        return Next.BREAK_OFF
    most = min(2, budget.max_attempts) if kind == ONCE_KIND else budget.max_attempts
    if others and attempts < most and (kind in FREE_KINDS or budget.retries >= 1):
        return Next.AGAIN
    return Next.ANSWER if outcome.status else Next.GIVE_UP


def gave_up(kind: str) -> UnservedError:
    """The client's error when the last attempt failed with `kind`; `kind` is empty where there was no worker to ask."""
    if not kind:
        message = "No healthy worker serves this request at the moment."
        return UnservedError("no_worker", 503, message, "no_worker", 1)
    if kind == "first_byte_timeout":
        return UnservedError("worker_failed", 504, "The worker did not answer in time.", "worker_timeout")
    return UnservedError("worker_failed", 502, "No worker could answer this request.", "worker_failed", 1)


def broke_off(kind: str) -> UnservedError:
    """The client's error when an answer that has begun will not be completed."""
    did = "fell silent" if kind == "silence_timeout" else "stopped"
    return UnservedError(kind, 502, f"The worker {did} in the middle of its answer.")


class RetryBudget:
    """A token bucket: every request pays in `ratio`, every retry takes out one."""

    def __init__(self, ratio: float, max_attempts: int) -> None:
        self._ratio = ratio
        self.left = Budget(RESERVE if ratio > 0 else 0.0, max_attempts)

    def request(self) -> None:
        """Count a new request."""
        if self.left.retries < RESERVE:
            self.left = self.left._replace(retries=self.left.retries + self._ratio)

    def spend(self, kind: str) -> None:
        """A request that failed with `kind` is tried again."""
        if kind not in FREE_KINDS:
            self.left = self.left._replace(retries=self.left.retries - 1)
