"""Whether the default policy is best: per cell and measure, against whichever arm is best there."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, Protocol

from loadtests.endurance.report import Table
from loadtests.simulate import oracle
from loadtests.simulate.outcomes import Summary
from loadtests.simulate.statistics import Interval, interval, paired_ratio
from loadtests.simulate.tables import Read


class Results(Protocol):
    """A cell of a sweep."""

    @property
    def name(self) -> str: ...
    @property
    def load(self) -> float: ...
    @property
    def rate(self) -> float: ...
    @property
    def hit_goal(self) -> bool: ...
    @property
    def arms(self) -> Mapping[str, Sequence[Summary]]: ...


class Measure(NamedTuple):
    """What is compared: how it is read, whether more is better, and what still counts as equal to the best."""

    name: str
    read: Read
    more_is_better: bool
    margin: float


MEASURES = (
    Measure("TTFT p50", lambda s: s.ttft_p50, False, 1.02),
    Measure("TTFT p90", lambda s: s.ttft_p90, False, 1.02),
    Measure("TTFT p99", lambda s: s.ttft_p99, False, 1.10),
    Measure("goodput", lambda s: s.goodput, True, 1.02),
)


class Miss(NamedTuple):
    """Where an arm is not within the margin of the best one."""

    cell: str
    measure: str
    best: str
    times: Interval
    """How many times worse, seed by seed."""


def overview(cells: Sequence[Results]) -> Table:
    """A row per cell and arm, over all seeds."""
    rows = [
        (where(cell), arm, *_figures(runs))
        for cell in cells
        for arm, runs in sorted(cell.arms.items(), key=lambda item: fmean(run.ttft_p90 for run in item[1]))
    ]
    header = ("cell", "arm", "hit % (ideal)", "TTFT p50 s", "p90", "p99", "good %", "recomputed %", "errors")
    return Table("Every arm in every cell, the lowest p90 first", header, rows)


def misses(cells: Sequence[Results], arm: str) -> Table:
    """Where `arm` is not best or nearly so, and who is."""
    rows = [
        (miss.cell, miss.measure, miss.best, f"{miss.times.mean:.2f}", f"{miss.times.low:.2f} to {miss.times.high:.2f}")
        for cell in cells
        for miss in found(cell, arm)
    ]
    checked = len(cells) * len(MEASURES)
    title = f"Where {arm} is not best, or within 2 % (p99: 10 %): {len(rows)} of {checked}"
    return Table(title, ("cell", "measure", "best", "times worse", "95 %"), rows)


def found(cell: Results, arm: str) -> Iterator[Miss]:
    """The misses of one cell."""
    rivals = [name for name in cell.arms if name != oracle.NAME]
    for measure in MEASURES:
        values = {name: [measure.read(run) for run in cell.arms[name]] for name in rivals}
        means = {name: fmean(runs) for name, runs in values.items()}
        best = (max if measure.more_is_better else min)(means, key=lambda name: means[name])
        worse, better = (best, arm) if measure.more_is_better else (arm, best)
        if means[worse] > measure.margin * means[better]:
            yield Miss(where(cell), measure.name, best, paired_ratio(values[worse], values[better]))


def ideal(cells: Sequence[Results], arm: str) -> Table:
    """Hit rate against the infinite cache, where the goal is to be within a point."""
    rows = []
    for cell in cells:
        if cell.hit_goal:
            gap = interval([100 * (run.ideal_hit - run.hit) for run in cell.arms[arm]])
            met = "met" if gap.mean <= 1.0 else "missed"
            rows.append((where(cell), f"{gap.mean:.2f}", f"{gap.low:.2f} to {gap.high:.2f}", met))
    return Table(
        f"Points of hit rate that {arm} is below an infinite cache", ("cell", "points", "95 %", "goal 1.0"), rows
    )


def where(cell: Results) -> str:
    """A cell's name in a table."""
    return f"{cell.name}, load {cell.load:.0%}" if cell.load else cell.name


def _figures(runs: Sequence[Summary]) -> tuple[str, ...]:
    def mean(read: Read) -> float:
        return fmean(read(run) for run in runs)

    return (
        f"{100 * mean(lambda s: s.hit):.1f} ({100 * mean(lambda s: s.ideal_hit):.1f})",
        *(f"{mean(read):.3g}" for read in (lambda s: s.ttft_p50, lambda s: s.ttft_p90, lambda s: s.ttft_p99)),
        f"{100 * mean(lambda s: s.goodput):.1f}",
        f"{100 * mean(lambda s: s.recomputed):.1f}",
        str(sum(run.errors for run in runs)),
    )
