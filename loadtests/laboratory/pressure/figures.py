"""What one run of a closed loop came to. Time in the router's line counts as time to first token; a refused turn's is
infinite, and one that had not begun when the run was cut off counts with its wait so far."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.outcomes import Outcome
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in seconds. Turns and sessions are counted where they ended in the measured span."""

    turns_s: float
    """Answered per second."""
    hit: float
    """Share of the prompt tokens that was cached."""
    ttft_mean: float
    ttft_p50: float
    ttft_p90: float
    ttft_p99: float
    longest_s: float
    session_s: float
    """Mean time for a whole session, by Little's law: users x span / sessions that ended. Infinite if none did."""
    fewest: int
    """Turns of the user who got fewest."""
    tenth: float
    """Mean turns of the tenth of the users who got fewest."""
    refused: int
    unfinished: int


def play(scenario: Scenario, arm: str, seed: int, on_request: Callable[[], None]) -> Figures:
    """One run."""
    run = Run(scenario, arm, seed)
    run.play(on_request)
    assert isinstance(scenario.mix, Crowd)
    return figures(run.outcomes, scenario.mix.users, (scenario.warm_s, scenario.warm_s + scenario.measured_s))


def figures(outcomes: Sequence[Outcome], users: int, span: tuple[float, float]) -> Figures:
    """Of all outcomes of a run whose measured span was from the one time to the other."""
    begin, end = span
    measured = [outcome for outcome in outcomes if outcome.measured]
    cut_s = max(outcome.arrived for outcome in outcomes)
    ttfts = sorted(_ttft(outcome, cut_s) for outcome in measured)
    answered = [outcome for outcome in measured if outcome.ttft == outcome.ttft]
    done = [outcome for outcome in outcomes if begin <= outcome.ended < end]
    over = sum(outcome.last for outcome in done)
    by_user = Counter(outcome.user for outcome in done)
    turns = sorted(by_user[user] for user in range(users))
    return Figures(
        turns_s=len(done) / (end - begin),
        hit=sum(outcome.cached_tokens for outcome in answered) / max(1, sum(o.prompt_tokens for o in answered)),
        ttft_mean=fmean(ttfts),
        ttft_p50=_quantile(ttfts, 0.5),
        ttft_p90=_quantile(ttfts, 0.9),
        ttft_p99=_quantile(ttfts, 0.99),
        longest_s=ttfts[-1],
        session_s=users * (end - begin) / over if over else math.inf,
        fewest=turns[0],
        tenth=fmean(turns[: math.ceil(users / 10)]),
        refused=sum(bool(outcome.error) for outcome in measured),
        unfinished=sum(not o.error and o.ended != o.ended for o in measured),
    )


def _ttft(outcome: Outcome, cut_s: float) -> float:
    if outcome.error:
        return math.inf
    return outcome.ttft if outcome.ttft == outcome.ttft else cut_s - outcome.arrived


def _quantile(rising: Sequence[float], share: float) -> float:
    """The value that this share does not exceed: no mean of two, since one may be infinite."""
    return rising[min(len(rising) - 1, math.ceil(share * len(rising)) - 1)]
