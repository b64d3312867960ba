"""Whether the default policy is best: per cell and measure, against whichever arm is best there."""

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate import oracle
from loadtests.laboratory.simulate.cells import Cell
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.statistics import Interval, interval, paired_ratio
from loadtests.laboratory.simulate.tables import Read


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
MEAN = Measure("mean TTFT", lambda s: fmean(s.ttft_curve), False, 1.02)
"""Mean of the curve of percentiles. It is no goal: it shows which arm wins where one has the better p50 and another the
better p90."""


class Against(NamedTuple):
    """An arm beside the best one in a cell."""

    measure: Measure
    best: str
    times: Interval
    """How many times worse, seed by seed."""
    equal: bool
    """Best, or within the margin of it."""


def overview(cells: Sequence[Cell]) -> Table:
    """A row per cell and arm, over all seeds."""
    rows = [
        (where(cell), arm, *_figures(runs))
        for cell in cells
        for arm, runs in sorted(cell.arms.items(), key=lambda item: fmean(run.ttft_p90 for run in item[1]))
    ]
    header = ("cell", "arm", "hit % (ideal)", "TTFT p50 s", "p90", "p99", "good %", "recomputed %", "errors")
    return Table("Every arm in every cell, the lowest p90 first", header, rows)


def arms(cells: Sequence[Cell]) -> Table:
    """How often each arm is best or nearly so, and how far from the best it is on average, where it was run."""
    names = list(dict.fromkeys(arm for cell in cells for arm in cell.arms if arm != oracle.NAME))
    measures = (*MEASURES, MEAN)
    found = {arm: [list(beside_best(cell, arm, measures)) for cell in cells if arm in cell.arms] for arm in names}
    rows = [(arm, str(len(checked)), *_shares(checked)) for arm, checked in found.items()]
    rows.sort(key=lambda row: -sum(against.equal for checks in found[row[0]] for against in checks))
    header = ("arm", "cells", *(f"{measure.name}: equal to the best, times worse" for measure in measures))
    return Table("How often each arm is the best or equal to it (2 %; p99: 10 %)", header, rows)


def _shares(checked: Sequence[Sequence[Against]]) -> Iterator[str]:
    for index in range(len(checked[0])):
        column = [checks[index] for checks in checked]
        ratios = [math.log(against.times.mean) for against in column if against.times.mean > 0]
        mean = f"{math.exp(fmean(ratios)):.2f}" if ratios else "-"
        yield f"{sum(against.equal for against in column)}, {mean}"


def against_best(cells: Sequence[Cell], arm: str) -> Table:
    """A row per cell: the arm's figures, and where it is not best or nearly so, which arm is, and by how much."""
    rows, missed, clear = [], 0, 0
    for cell in cells:
        checks = list(beside_best(cell, arm))
        missed += sum(not against.equal for against in checks)
        clear += sum(not against.equal and against.times.low > 1 for against in checks)
        runs = cell.arms[arm]
        hits = f"{100 * fmean(run.hit for run in runs):.1f} ({100 * fmean(run.ideal_hit for run in runs):.1f})"
        rows.append(
            (
                where(cell),
                f"{cell.facts.rate:.2f}",
                f"{cell.facts.ratio:.2f}",
                hits,
                *(_beside(runs, against) for against in checks),
            )
        )
    title = (
        f"{arm} in every cell; where it is not best, or within 2 % (p99: 10 %): {missed} of {4 * len(cells)} checks, "
        f"{clear} with an interval above 1"
    )
    header = ("cell", "requests/s", "ratio", "hit % (ideal)", "TTFT p50 s", "p90", "p99", "good %")
    return Table(title, header, rows)


def _beside(runs: Sequence[Summary], against: Against) -> str:
    value = fmean(map(against.measure.read, runs))
    figure = f"{100 * value:.1f}" if against.measure.more_is_better else f"{value:.3g}"
    if against.equal:
        return figure
    times = against.times
    return f"{figure}; {times.mean:.2f} ({times.low:.2f} to {times.high:.2f}) times {against.best}"


def beside_best(cell: Cell, arm: str, measures: Sequence[Measure] = MEASURES) -> Iterator[Against]:
    """One per measure. Means over the seeds say which arm is best."""
    rivals = [name for name in cell.arms if name != oracle.NAME]
    for measure in measures:
        values = {name: [measure.read(run) for run in cell.arms[name]] for name in rivals}
        means = {name: fmean(runs) for name, runs in values.items()}
        best = (max if measure.more_is_better else min)(means, key=lambda name: means[name])
        worse, better = (best, arm) if measure.more_is_better else (arm, best)
        equal = means[worse] <= measure.margin * means[better]
        yield Against(measure, best, paired_ratio(values[worse], values[better]), equal)


def ideal(cells: Sequence[Cell], arm: str) -> Table:
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


def where(cell: Cell) -> str:
    """A cell's name in a table."""
    return f"{cell.facts.name}, load {cell.facts.load:.0%}" if cell.facts.load else cell.facts.name


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
