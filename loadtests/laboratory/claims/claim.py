"""A claim, and the figures of one run of one of its arms."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.laboratory.simulate.outcomes import Outcome
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to serve a claim's traffic."""

    name: str
    policy: str
    scenario: Callable[[], Scenario]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. Shares are 0..1, times seconds, rates per second."""

    hit: float
    ideal_hit: float
    ttft_p50: float
    ttft_p90: float
    ttft_p99: float
    e2e_mean: float
    requests: float
    """Answered requests per second."""
    input_tokens: float
    """Tokens of answered prompts per second."""
    output_tokens: float
    same_worker: float
    """Share of the requests with a known prefix that went to the same worker as the last request with that prefix,
    which some publications call a cache hit. 0 where scripts have no common prefix."""


Runs = Mapping[str, Sequence[Figures]]
"""Of each arm, one per seed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One published number and ours."""

    measure: str
    published: str
    ours: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What was published."""

    name: str
    source: str
    conditions: str
    """The known conditions, then the unknown ones."""
    arms: Sequence[Arm]
    findings: Callable[[Runs], Sequence[Finding]]


def figures(arm: Arm, seed: int) -> Figures:
    """One run of an arm."""
    scenario = arm.scenario()
    run = Run(scenario, arm.policy, seed)
    summary = run.play()
    begin, end = scenario.warm_s, scenario.warm_s + scenario.measured_s
    answered = [one for one in run.outcomes if begin <= one.ended < end]
    return Figures(
        hit=summary.hit,
        ideal_hit=summary.ideal_hit,
        ttft_p50=summary.ttft_p50,
        ttft_p90=summary.ttft_p90,
        ttft_p99=summary.ttft_p99,
        e2e_mean=fmean(one.ended - one.arrived for one in answered) if answered else float("nan"),
        requests=len(answered) / scenario.measured_s,
        input_tokens=sum(one.prompt_tokens for one in answered) / scenario.measured_s,
        output_tokens=sum(one.answer_tokens for one in answered) / scenario.measured_s,
        same_worker=same_worker([one for one in run.outcomes if one.measured]),
    )


def same_worker(outcomes: Sequence[Outcome]) -> float:
    """Share of requests that went where the last one with their prefix went, which a script's name begins with."""
    last: dict[str, str] = {}
    seen: dict[bool, int] = defaultdict(int)
    for one in outcomes:
        prefix, _, own = one.script.partition("/")
        if own:
            if prefix in last:
                seen[last[prefix] == one.worker] += 1
            last[prefix] = one.worker
    return seen[True] / (seen[True] + seen[False]) if seen else 0.0


def mean(runs: Sequence[Figures], name: str) -> float:
    """Over the seeds."""
    return fmean(getattr(run, name) for run in runs)


def share(runs: Sequence[Figures], name: str) -> str:
    """The mean as `12.3 %`."""
    return f"{100 * mean(runs, name):.1f} %"


def times(runs: Runs, name: str, arm: str, other: str) -> float:
    """How many times the other arm's figure."""
    return mean(runs[arm], name) / mean(runs[other], name)


def change(factor: float) -> str:
    """`+22.3 %` of 1.223."""
    return f"{100 * (factor - 1):+.1f} %"
