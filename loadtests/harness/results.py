"""How requests ended, and sums over them. Pure: times come from the client's clock, in seconds.

A request is lost when it fails before its first byte, or when its stream ends silently or never.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

ERROR_FRAME = b'data: {"error"'
DONE_FRAME = b"data: [DONE]\n\n"
_OK = 200


class End(Enum):
    """How a request ended, as its client saw it."""

    COMPLETE = "complete"
    ERROR_EVENT = "error event"
    """The stream had begun and ended with an error event."""
    FAILED = "failed"
    """No byte of an answer: an error status, or no connection."""
    SILENT = "silent"
    """The stream had begun and stopped without its last event or an error event."""
    HUNG = "hung"
    """No end within the client's patience."""


class Result(NamedTuple):
    """One request. `first_at` is 0 when no byte of an answer came."""

    started_at: float
    first_at: float
    ended_at: float
    end: End
    status: int
    worker: str
    """Id of the worker that answered; empty when none did."""

    @property
    def ttft_s(self) -> float:
        return self.first_at - self.started_at

    def lives_at(self, moment: float) -> bool:
        """Was it sent by then, and not ended?"""
        return self.started_at <= moment < self.ended_at

    def waits_at(self, moment: float) -> bool:
        """Was it sent by then, and had no first byte?"""
        return self.started_at <= moment < (self.first_at or self.ended_at)


def end_of(status: int, begun: bool, tail: bytes, complete: bool) -> End:
    """The end of an answer that is over. `tail` is the end of its body, `complete` whether HTTP says it was whole."""
    if status != _OK or not begun:
        return End.FAILED
    if complete and ERROR_FRAME in tail:
        return End.ERROR_EVENT
    return End.COMPLETE if complete and tail.endswith(DONE_FRAME) else End.SILENT


def count(results: Iterable[Result], *ends: End) -> int:
    """How many ended in one of these ways."""
    return sum(result.end in ends for result in results)


def ends(results: Iterable[Result]) -> str:
    """`12 complete, 1 hung`."""
    counts = Counter(result.end for result in results)
    return ", ".join(f"{counts[end]} {end.value}" for end in End if counts[end]) or "none"


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank); nan of nothing."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def ttft_ms(results: Sequence[Result], share: float) -> float:
    """A quantile of the time to first token of those that were answered, in milliseconds; nan of none."""
    return 1000 * quantile([r.ttft_s for r in results if r.first_at and r.status == _OK], share)


def returned_at(results: Iterable[Result], worker: str, since: float) -> float | None:
    """When the first request sent after `since` that `worker` answered was sent."""
    return min((r.started_at for r in results if r.worker == worker and r.started_at > since), default=None)
