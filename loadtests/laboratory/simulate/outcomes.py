"""The outcome of each request, and the summary of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np

GOOD_S = 1.0
"""A first token within this many seconds is good, however little there was to compute."""
GOOD_FACTOR = 3.0
"""It is also good within this many times the time of an idle worker with an infinite cache."""
CURVE = (*range(1, 100), 99.5)
"""Percentiles of a run's curve."""


@dataclass(slots=True)
class Outcome:
    """One request. Times are virtual seconds; NaN for what did not come."""

    arrived: float
    prompt_tokens: int
    answer_tokens: int
    ideal_tokens: int
    """Tokens of the prompt that any worker has computed before: what an infinite cache would hold."""
    least_s: float
    """Time to first token on an idle worker with that cache."""
    measured: bool = True
    script: str = ""
    """Name of the script that it is of."""
    user: int = 0
    """Whose session it is of, in a closed loop."""
    last: bool = False
    """It is its session's last."""
    cached_tokens: int = 0
    predicted_tokens: int = 0
    """What the router believed to be cached when it sent it."""
    loaded_tokens: int = 0
    preempted: int = 0
    first_byte: float = float("nan")
    ended: float = float("nan")
    worker: str = ""
    error: str = ""
    attempts: int = 0

    @property
    def ttft(self) -> float:
        return self.first_byte - self.arrived

    @property
    def good(self) -> bool:
        """It was answered, and began in time (false for NaN)."""
        return not self.error and self.ended == self.ended and self.ttft <= max(GOOD_S, GOOD_FACTOR * self.least_s)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers. Shares are 0..1, times seconds, rates per second."""

    requests: int
    ideal_hit: float
    hit: float
    ttft_p50: float
    ttft_p90: float
    ttft_p99: float
    e2e_p50: float
    e2e_p99: float
    throughput: float
    """Requests finished per second."""
    goodput: float
    """Share of the requests that were good."""
    spread: float
    """Standard deviation of the workers' busy time, over its mean."""
    errors: int
    unfinished: int
    """Not answered when the run was cut off; their waiting so far counts as their time to first token."""
    recomputed: float
    """Tokens computed although an infinite cache would have held them, per prompt token."""
    busy: float
    """Mean share of the time for which workers computed."""
    ttft_curve: tuple[float, ...]
    """Times to first token at `CURVE`, for plots."""
    loaded: float = 0.0
    """Share of the prompt tokens that were read from a second tier (part of `hit`)."""


def summary(outcomes: Sequence[Outcome], seconds: float, busy_s: Sequence[float], cut_s: float) -> Summary:
    """Of the outcomes that arrived within the measured `seconds`; `cut_s` is when the run ended."""
    answered = [outcome for outcome in outcomes if not outcome.error]
    ttfts = [cut_s - outcome.arrived if outcome.ttft != outcome.ttft else outcome.ttft for outcome in answered]
    whole = [cut_s - o.arrived if o.ended != o.ended else o.ended - o.arrived for o in answered]
    prompt = sum(outcome.prompt_tokens for outcome in answered) or 1
    ideal = sum(outcome.ideal_tokens for outcome in answered)
    begun = [outcome for outcome in answered if outcome.ttft == outcome.ttft]
    begun_prompt = sum(outcome.prompt_tokens for outcome in begun) or 1
    missed = sum(max(0, outcome.ideal_tokens - outcome.cached_tokens) for outcome in begun)
    again = sum(outcome.preempted * outcome.prompt_tokens for outcome in begun)
    p50, p90, p99 = _percentiles(ttfts, (50, 90, 99))
    whole_p50, whole_p99 = _percentiles(whole, (50, 99))
    mean_busy = fmean(busy_s)
    return Summary(
        requests=len(outcomes),
        ideal_hit=ideal / prompt,
        hit=sum(outcome.cached_tokens for outcome in begun) / begun_prompt,
        ttft_p50=p50,
        ttft_p90=p90,
        ttft_p99=p99,
        e2e_p50=whole_p50,
        e2e_p99=whole_p99,
        throughput=sum(outcome.ended == outcome.ended for outcome in answered) / seconds,
        goodput=sum(outcome.good for outcome in outcomes) / max(1, len(outcomes)),
        spread=pstdev(busy_s) / mean_busy if mean_busy else 0.0,
        errors=len(outcomes) - len(answered),
        unfinished=sum(outcome.ended != outcome.ended for outcome in answered),
        recomputed=(missed + again) / begun_prompt,
        loaded=sum(outcome.loaded_tokens for outcome in begun) / begun_prompt,
        busy=mean_busy / seconds,
        ttft_curve=tuple(_percentiles(ttfts, CURVE)),
    )


def _percentiles(values: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Exact, by linear interpolation. NaN for no values."""
    if not values:
        return [float("nan")] * len(shares)
    return [float(value) for value in np.percentile(values, shares)]
