"""A comparison as Markdown: what each arm came to, and each arm against the first one."""

from collections.abc import Callable, Sequence

from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate.compare import Comparison
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.statistics import Interval, interval, paired_ratio

Read = Callable[[Summary], float]

COLUMNS: dict[str, Callable[[Sequence[Summary]], str]] = {
    "hit % (ideal)": lambda runs: f"{_percent(runs, lambda s: s.hit)} ({_percent(runs, lambda s: s.ideal_hit)})",
    "of it from tier %": lambda runs: _percent(runs, lambda s: s.loaded),
    "TTFT p50 s": lambda runs: _seconds(runs, lambda s: s.ttft_p50),
    "p90": lambda runs: _seconds(runs, lambda s: s.ttft_p90),
    "p99": lambda runs: _seconds(runs, lambda s: s.ttft_p99),
    "e2e p50 s": lambda runs: _seconds(runs, lambda s: s.e2e_p50),
    "e2e p99": lambda runs: _seconds(runs, lambda s: s.e2e_p99),
    "requests/s": lambda runs: f"{interval([s.throughput for s in runs]).mean:.2f}",
    "good %": lambda runs: _percent(runs, lambda s: s.goodput),
    "spread %": lambda runs: _percent(runs, lambda s: s.spread),
    "recomputed %": lambda runs: _percent(runs, lambda s: s.recomputed),
    "errors": lambda runs: str(sum(s.errors for s in runs)),
    "unfinished": lambda runs: str(sum(s.unfinished for s in runs)),
}
RATIOS: dict[str, Read] = {
    "TTFT p50": lambda s: s.ttft_p50,
    "TTFT p90": lambda s: s.ttft_p90,
    "TTFT p99": lambda s: s.ttft_p99,
    "e2e p50": lambda s: s.e2e_p50,
    "goodput": lambda s: s.goodput,
    "throughput": lambda s: s.throughput,
}


def described(comparison: Comparison) -> str:
    """The scenario in a sentence."""
    scenario, mix = comparison.scenario, comparison.scenario.mix
    profile, routers = scenario.profiles[0], scenario.routers
    seeds = len(next(iter(comparison.results.values())))
    load = f"{scenario.requests_per_s:.2f} requests/s"
    if comparison.knee:
        load += f" ({scenario.requests_per_s / comparison.knee:.0%} of the knee)"
    views = "" if routers.count == 1 else f" that see each other {1000 * routers.staleness_s:g} ms late"
    views = " that share nothing" if routers.count > 1 and routers.private else views
    return (
        f"{len(scenario.profiles)} workers `{profile.name}` of {profile.kv_tokens:,} KV tokens, {load}, "
        f"{mix.live_sessions(scenario.requests_per_s):.0f} live sessions, working set / capacity {scenario.ratio:.2f}; "
        f"{routers.count} router{'s' * (routers.count > 1)}{views}; "
        f"{len(mix.scripts)} scripts; {scenario.requests} measured requests, {seeds} seed{'s' * (seeds > 1)}"
    )


def results(comparison: Comparison) -> Table:
    """A row per arm: means over the seeds, with 95 % intervals."""
    rows = [(arm, *(read(runs) for read in COLUMNS.values())) for arm, runs in comparison.results.items()]
    return Table(comparison.scenario.name, ("arm", *COLUMNS), rows)


def ratios(comparison: Comparison, reference: str) -> Table:
    """A row per arm but the reference: how many times the reference's its figures are, seed by seed."""
    base = comparison.results[reference]
    rows = [
        (arm, *(_ratio(paired_ratio(list(map(read, runs)), list(map(read, base)))) for read in RATIOS.values()))
        for arm, runs in comparison.results.items()
        if arm != reference
    ]
    return Table(f"Times {reference}, in pairs of equal seeds", ("arm", *RATIOS), rows)


def _seconds(runs: Sequence[Summary], read: Read) -> str:
    return _figure(interval([read(run) for run in runs]), 3)


def _percent(runs: Sequence[Summary], read: Read) -> str:
    return _figure(interval([100 * read(run) for run in runs]), 1)


def _figure(value: Interval, digits: int) -> str:
    if value.mean != value.mean:
        return "-"
    digits = digits if abs(value.mean) < 10 or digits == 1 else 1
    spread = "" if value.half != value.half else f" ±{value.half:.{digits}f}"
    return f"{value.mean:.{digits}f}{spread}"


def _ratio(value: Interval) -> str:
    if value.mean != value.mean:
        return "-"
    spread = "" if value.low != value.low else f" ({value.low:.2f} to {value.high:.2f})"
    return f"{value.mean:.2f}{spread}"
