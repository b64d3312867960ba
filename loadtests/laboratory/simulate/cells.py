"""The cells of a sweep: which scenarios there are, and which arms are run in each.

What must not be broken: an arm is left out of a cell only by what was measured of it on the same trace.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate import knee, oracle
from loadtests.laboratory.simulate.compare import Player
from loadtests.laboratory.simulate.kept import Facts, Kept
from loadtests.laboratory.simulate.options import Options
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.pace import Pace
from loadtests.laboratory.simulate.scenario import Scenario
from loadtests.laboratory.simulate.traps import TRAPS
from policies import POLICIES

KNEE_ARMS = ("expected_ttft", "sticky_until_saturated", "lmetric")
"""Whose limit is looked for; the others were never better."""
RATIO_MARK = ", working set / memory "
"""In a cell's name, between its trace and its ratio."""
HOPELESS = 1.25
"""This many times the best arm's TTFT, at p50 and at p90, at the least and at the most of memory and load alike."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario's results."""

    facts: Facts
    arms: Mapping[str, Sequence[Summary]]
    """A run per seed."""

    @property
    def hit_goal(self) -> bool:
        """The working set is at most half of the memory, and the load at most 80 %."""
        return self.facts.ratio <= 0.51 and 0 < self.facts.load <= 0.8


@dataclass(frozen=True, slots=True)
class Planned:
    """One cell to be run."""

    name: str
    load: float
    corner: bool
    """The least or the most of memory and load: here every arm is run."""
    make: Callable[[], Scenario]


def of_trace(
    asked: Options, ratios: Sequence[float], loads: Sequence[float], play: tuple[Kept, Player]
) -> list[Planned]:
    """Memory times load, the corners first. Knees are looked for when the first scenario at a ratio is made."""
    pace = asked.pace(asked.mix())
    title = asked.scenario(pace, 1.0).name
    planned = []
    for ratio in ratios:
        name = f"{title}{RATIO_MARK}{ratio:g}"
        limit = _Limit(name, dataclasses.replace(asked, ratio=ratio), pace, *play)
        for load in loads:
            corner = (ratio, load) in ((min(ratios), min(loads)), (max(ratios), max(loads)))
            planned.append(Planned(name, load, corner, lambda limit=limit, load=load: limit.at(load)))  # type: ignore[misc]
    return sorted(planned, key=lambda cell: not cell.corner)


def of_traps(asked: Options) -> Iterator[Planned]:
    """The traps, on the sessions of the trace."""
    pace = asked.pace(asked.mix())
    scripts = pace.paced(asked.workers, pace.first_guess(asked.workers)).scripts
    for trap in TRAPS:
        scenario = trap(scripts, PROFILES[asked.profile], asked.workers, asked.requests)
        yield Planned(scenario.name, 0.0, True, lambda scenario=scenario: scenario)  # type: ignore[misc]


def of_results(kept: Kept, seeds: int, arm: str) -> Iterator[Cell]:
    """The cells in which `arm` has runs under all seeds, each with the other arms that have. In the order of
    their traces; then by memory and load."""
    runs: dict[tuple[str, float], dict[str, dict[int, Summary]]] = {}
    for key, run in kept.runs.items():
        runs.setdefault((key.cell, key.load), {}).setdefault(key.arm, {})[key.seed] = run
    traces = list(dict.fromkeys(_trace(name) for name, _ in runs))
    for name, load in sorted(runs, key=lambda cell: (traces.index(_trace(cell[0])), _ratio(cell[0]), cell[1])):
        wanted = range(1, seeds + 1)
        whole = {a: [had[n] for n in wanted] for a, had in runs[name, load].items() if all(n in had for n in wanted)}
        if arm in whole:
            yield Cell(kept.facts[name, load], whole)


def _trace(name: str) -> str:
    return name.partition(RATIO_MARK)[0]


def _ratio(name: str) -> float:
    return float(name.partition(RATIO_MARK)[2] or 0)


def hopeless(corners: Sequence[Cell]) -> set[str]:
    """Arms that are far behind in all of a trace's corners (none of the default, nor of a single corner)."""
    if len(corners) < 2:
        return set()
    behind = [
        {arm for arm in cell.arms if all(_mean(cell, arm, n) > HOPELESS * _best(cell, n) for n in range(2))}
        for cell in corners
    ]
    return set.intersection(*behind) - {KNEE_ARMS[0], oracle.NAME}


def _best(cell: Cell, measure: int) -> float:
    return min(_mean(cell, arm, measure) for arm in cell.arms if arm in POLICIES)


def _mean(cell: Cell, arm: str, measure: int) -> float:
    return fmean((run.ttft_p50, run.ttft_p90)[measure] for run in cell.arms[arm])


class _Limit:
    """The knee of one trace at one ratio, looked for when it is first needed."""

    def __init__(self, name: str, asked: Options, pace: Pace, kept: Kept, player: Player) -> None:
        self._name = name
        self._asked = asked
        self._pace = pace
        self._kept = kept
        self._player = player

    def at(self, load: float) -> Scenario:
        if self._name not in self._kept.knees:
            guess = self._pace.first_guess(self._asked.workers)
            found = knee.find(self._scenario, KNEE_ARMS, self._player.one, guess, self._asked.ratio)
            self._kept.knee(self._name, found)
            print(f"{self._name}: knee at {self._kept.knees[self._name]:.2f} requests/s", file=sys.stderr)
        return self._scenario(load * self._kept.knees[self._name])

    def _scenario(self, rate: float) -> Scenario:
        return dataclasses.replace(self._asked.scenario(self._pace, rate), name=self._name)
