"""A cell's tables: what each arm came to, and what it is to the first one."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from loadtests.laboratory.markdown import Table, number
from loadtests.laboratory.pressure.cell import Cell
from loadtests.laboratory.pressure.figures import Figures
from loadtests.laboratory.simulate.statistics import interval, paired_ratio

Read = Callable[[Figures], float]
Runs = Mapping[float, Sequence[Figures]]
"""By arm: one for each seed."""

MEASURES: dict[str, tuple[Read, int]] = {
    "turns/s": (lambda f: f.turns_s, 3),
    "hit %": (lambda f: 100 * f.hit, 1),
    "TTFT mean, s": (lambda f: f.ttft_mean, 2),
    "TTFT p50, s": (lambda f: f.ttft_p50, 2),
    "TTFT p90, s": (lambda f: f.ttft_p90, 1),
    "TTFT p99, s": (lambda f: f.ttft_p99, 1),
    "longest wait, s": (lambda f: f.longest_s, 0),
    "whole session, s": (lambda f: f.session_s, 0),
    "turns, fewest of a user": (lambda f: f.fewest, 1),
    "turns, slowest tenth of users": (lambda f: f.tenth, 1),
    "refused": (lambda f: f.refused, 1),
    "unfinished": (lambda f: f.unfinished, 1),
}
"""What is read, and digits behind the point."""


def described(cell: Cell) -> str:
    """The cell in a sentence."""
    profile = cell.profile
    return (
        f"{cell.routers} router{'s' * (cell.routers > 1)}, {cell.workers} workers of {profile.kv_tokens:,} KV tokens "
        f"at {profile.prefill_rate:,.0f} tokens/s, "
        f"{cell.users} users where {cell.fit:.1f} fit (ratio {cell.ratio:g}), mean pause {cell.mean_pause_s:.1f} s, "
        f"T* {cell.tstar_s:.0f} s, floor of the bound {cell.floor_s:.0f} s, "
        f"linear bound {cell.turns_bound:.3f} turns/s, {cell.seconds:g} s"
    )


def table(cell: Cell, runs: Runs) -> Table:
    """A column per arm; for each but the first also how many times the first one's its figures are."""
    arms = list(runs)
    header = ["", f"bound {arms[0]:g} s"]
    for arm in arms[1:]:
        header += [f"bound {arm:g} s", f"times bound {arms[0]:g}"]
    rows = [(name, *_cells(runs, read, digits)) for name, (read, digits) in MEASURES.items()]
    rows.insert(1, ("of the linear bound", *_shares(cell, runs)))
    return Table(described(cell), tuple(header), rows)


def _cells(runs: Runs, read: Read, digits: int) -> list[str]:
    first = [read(run) for run in next(iter(runs.values()))]
    found: list[str] = []
    for index, values in enumerate([read(run) for run in played] for played in runs.values()):
        found.append(_figure(values, digits))
        if index:
            found.append(_times(values, first))
    return found


def _shares(cell: Cell, runs: Runs) -> list[str]:
    most, found = cell.turns_bound, []
    for index, played in enumerate(runs.values()):
        found += [_figure([run.turns_s / most for run in played], 2), *[""] * bool(index)]
    return found


def _figure(values: Sequence[float], digits: int) -> str:
    if not all(map(math.isfinite, values)):
        return number(fmean(values), digits=digits)
    value = interval(values)
    spread = f" ±{number(value.half, digits=digits)}" if value.half == value.half else ""
    return f"{number(value.mean, digits=digits)}{spread}"


def _times(values: Sequence[float], first: Sequence[float]) -> str:
    if not all(map(math.isfinite, (*values, *first))):
        return "-"
    ratio = paired_ratio(values, first)
    spread = f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.low == ratio.low else ""
    return f"{ratio.mean:.2f}{spread}" if ratio.mean == ratio.mean else "-"
