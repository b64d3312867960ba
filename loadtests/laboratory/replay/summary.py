"""Sums up a replay's records. Percentiles are exact: they are taken from the times, not from bins."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.laboratory.replay.record import Record


@dataclass(frozen=True, slots=True)
class Slo:
    """When an answer was good. NaN does not count."""

    ttft_s: float = 1.0
    whole_s: float = math.nan

    def met_by(self, record: Record) -> bool:
        """Complete, and in time."""
        return not record.error and not record.ttft_s > self.ttft_s and not record.whole_s > self.whole_s

    def __str__(self) -> str:
        whole = "" if math.isnan(self.whole_s) else f" and end to end at most {self.whole_s:g} s"
        return f"complete, TTFT at most {self.ttft_s:g} s{whole}"


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds; NaN of nothing."""

    p50: float
    p90: float
    p99: float
    max: float
    mean: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Times":
        """Linear interpolation between neighbours; NaNs are left out."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls(math.nan, math.nan, math.nan, math.nan, math.nan)
        p50, p90, p99, most = (float(value) for value in np.percentile(known, (50, 90, 99, 100)))
        return cls(p50, p90, p99, most, float(np.mean(known)))


@dataclass(frozen=True, slots=True)
class Summary:
    """Shares are 0..1, times seconds, rates per second. Times are of complete answers alone."""

    requests: int
    seconds: float
    errors: Mapping[str, int]
    examples: Mapping[str, str]
    """What a server said, once for every kind of error."""
    hit_rate: float
    """Cached over all prompt tokens, of the answers that reported both."""
    reported: float
    """Share of the complete answers that did."""
    ttft: Times
    whole: Times
    per_token: Times
    session: Times
    """From a session's first request to its last end, of those without an error."""
    rate: float
    """Complete answers per second."""
    good: float
    goodput: float
    """Good answers per second."""
    prompt_tokens_per_s: float
    answer_tokens_per_s: float
    predicted: float
    """The router's predicted hit rate, of the same answers; NaN where it does not say."""
    reasons: Mapping[str, int]
    workers: Mapping[str, int]

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def summary(records: Sequence[Record], slo: Slo) -> Summary:
    """Of at least one record. The span is from the first request to the last end."""
    complete = [record for record in records if not record.error]
    usages = [record.usage for record in complete]
    telling = [r for r in complete if r.usage.cached_tokens >= 0 and r.usage.prompt_tokens > 0]
    told = [record for record in telling if record.decision.cached_tokens >= 0]
    seconds = max(record.ended_s for record in records) - min(record.asked_s for record in records)
    good = sum(map(slo.met_by, records))
    return Summary(
        requests=len(records),
        seconds=seconds,
        errors=dict(Counter(record.error for record in records if record.error).most_common()),
        examples={record.error: record.detail for record in reversed(records) if record.detail},
        hit_rate=_share(sum(r.usage.cached_tokens for r in telling), sum(r.usage.prompt_tokens for r in telling)),
        reported=_share(len(telling), len(complete)),
        ttft=Times.of(record.ttft_s for record in complete),
        whole=Times.of(record.whole_s for record in complete),
        per_token=Times.of(record.per_token_s for record in complete),
        session=Times.of(_sessions_s(records)),
        rate=_share(len(complete), seconds),
        good=_share(good, len(records)),
        goodput=_share(good, seconds),
        prompt_tokens_per_s=_share(sum(max(0, usage.prompt_tokens) for usage in usages), seconds),
        answer_tokens_per_s=_share(sum(max(0, usage.answer_tokens) for usage in usages), seconds),
        predicted=_share(sum(r.decision.cached_tokens for r in told), sum(r.usage.prompt_tokens for r in told)),
        reasons=dict(Counter(r.decision.reason for r in records if r.decision.reason).most_common()),
        workers=dict(Counter(r.decision.worker for r in records if r.decision.worker).most_common()),
    )


def _sessions_s(records: Sequence[Record]) -> list[float]:
    sessions: dict[str, list[Record]] = {}
    for record in records:
        sessions.setdefault(record.session, []).append(record)
    return [
        max(record.ended_s for record in found) - min(record.asked_s for record in found)
        for found in sessions.values()
        if not any(record.error for record in found)
    ]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
