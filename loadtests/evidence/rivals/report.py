"""Cells as tables: every arm beside the oracle, and where Warmroute is not the best."""

import math
from collections.abc import Iterator, Sequence

from loadtests.evidence.rivals.arms import ARMS, ORACLE
from loadtests.evidence.rivals.cells import EQUAL, HIGHER, LOOP, LOWER, SKIP_TURNS, Cell
from loadtests.evidence.rivals.loop import SLO, Loop
from loadtests.evidence.rivals.scenarios import Scenario
from loadtests.laboratory.markdown import Table, number
from loadtests.laboratory.pressure.tables import MEASURES

_TIMES = ("TTFT p50", "TTFT p90", "TTFT p99", "end to end p50", "end to end p99")


def line(cell: Cell) -> str:
    """A cell in short, while others are still to come."""
    times = " ".join(f"{value:.3f}" for value in (cell.ttft_p50, cell.ttft_p90, cell.ttft_p99))
    cores = f"{cell.router_cores:.2f} of {cell.cores:.2f} cores, {cell.machine}"
    return (
        f"{cell.scenario}, {cell.arm}: {cell.requests} requests, {cell.failed} not complete, hit rate {cell.hit:.4f}, "
        f"TTFT {times}; routers {cores}"
    )


def table(scenario: Scenario, cells: Sequence[Cell]) -> Table:
    """A row per arm; in brackets, how many times the oracle's."""
    oracle = next((cell for cell in cells if cell.arm == ORACLE.name), None)
    header = (
        "arm",
        "requests",
        "errors",
        "hit rate",
        "engines' own",
        *_TIMES,
        f"first {SKIP_TURNS} turns: TTFT p50",
        "p90",
        f"good ({SLO.ttft_s:g} s)",
        "router cores",
        "all cores",
    )
    return Table(scenario.title, header, [_row(cell, oracle) for cell in cells])


def loop_table(scenario: Scenario, cells: Sequence[Cell]) -> Table:
    """A row per arm that has the figures of a closed loop: all turns count, in seconds and turns per second."""
    header = ("arm", *MEASURES, f"good ({SLO.ttft_s:g} s) %", "router cores", "all cores")
    return Table(scenario.title, header, [_loop_row(cell, cell.loop) for cell in cells if cell.loop is not None])


def _loop_row(cell: Cell, loop: Loop) -> tuple[str, ...]:
    figures = [number(read(loop.figures), digits=digits) for read, digits in MEASURES.values()]
    cores = number(cell.router_cores, digits=2), number(cell.cores, digits=2)
    return (cell.arm, *figures, number(100 * loop.good, digits=1), *cores)


def _row(cell: Cell, oracle: Cell | None) -> tuple[str, ...]:
    times = [_seconds(LOWER[name](cell), LOWER[name](oracle) if oracle else math.nan) for name in _TIMES]
    rates = [number(100 * share, "%", 1) for share in (cell.hit, cell.engines_hit)]
    counts = (number(cell.requests), _errors(cell))
    return (
        cell.arm,
        *counts,
        *rates,
        *times,
        number(cell.first_p50, "s", 3),
        number(cell.first_p90, "s", 3),
        number(100 * cell.good, "%", 1),
        number(cell.router_cores, "", 2),
        number(cell.cores, "", 2),
    )


def _errors(cell: Cell) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in cell.errors.items()) or "0"


def _seconds(value: float, base: float) -> str:
    text = number(value, "s", 3)
    return text if math.isnan(base) or math.isnan(value) else f"{text} ({value / base:.2f})"


def not_best(scenario: Scenario, cells: Sequence[Cell]) -> list[str]:
    """A line for each measure in which a rival with at least as many replicas is better than Warmroute."""
    rivals = [cell for cell in cells if ARMS[cell.arm].router not in ("oracle", "warmroute")]
    return [
        lost
        for ours in cells
        if ARMS[ours.arm].ours
        for lost in _lost(scenario, ours, [c for c in rivals if ARMS[c.arm].replicas >= ARMS[ours.arm].replicas])
    ]


def _lost(scenario: Scenario, ours: Cell, rivals: Sequence[Cell]) -> Iterator[str]:
    if scenario.tools:
        yield from _lost_in_loop(scenario, ours, rivals)
        return
    for sign, measures in ((1, LOWER), (-1, HIGHER)):
        for name, measure in measures.items():
            best = min(rivals, key=lambda cell: sign * measure(cell), default=None)
            if best is not None and sign * measure(best) < sign * measure(ours):
                times = _plain(name, measure(ours)), _plain(name, measure(best))
                yield f"{scenario.name}: {name}: {ours.arm} {times[0]}, {best.arm} {times[1]}"


def _lost_in_loop(scenario: Scenario, ours: Cell, rivals: Sequence[Cell]) -> Iterator[str]:
    """Where it is neither the first nor within `EQUAL` of the first."""
    for name, (sign, read) in LOOP.items():
        best = min(rivals, key=lambda cell: sign * read(cell), default=None)
        if best is not None and sign * read(ours) > sign * read(best) + EQUAL * abs(read(best)):
            mine, first = (number(read(cell), digits=3) for cell in (ours, best))
            yield f"{scenario.name}: {name}: {ours.arm} {mine}, {best.arm} {first}"


def _plain(name: str, value: float) -> str:
    if name == "requests":
        return number(value)
    return number(value, "s", 3) if "TTFT" in name or name in _TIMES else number(100 * value, "%", 2)
