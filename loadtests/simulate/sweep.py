"""`warmroute-lab policies`: all arms over memory, load and traps, and where the default is not the best.

Each cell is written to a file as soon as it is done; cells that the file has already are not run again.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.endurance.report import Table
from loadtests.engine.profiles import PROFILES
from loadtests.simulate import knee, options, oracle, verdict
from loadtests.simulate.compare import Player
from loadtests.simulate.outcomes import Summary
from loadtests.simulate.pace import Pace
from loadtests.simulate.scenario import Scenario
from loadtests.simulate.traps import TRAPS
from policies import POLICIES

DEFAULT = "expected_ttft"
KNEE_ARMS = (DEFAULT, "prefix_cost", "lmetric")
"""Whose limit is looked for; the others were never better."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario's results, as they are kept."""

    name: str
    load: float
    """Share of the knee; 0 for a trap."""
    rate: float
    ratio: float
    hit_goal: bool
    """The working set is at most half of the memory, and the load at most 80 %."""
    arms: Mapping[str, Sequence[Summary]]

    def key(self) -> str:
        return f"{self.name} {self.load:g}"


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    options.add_to(parser)
    add = parser.add_argument
    add("--ratios", default="0.25,0.5,1,2,4", help="working set / KV memory, one after the other")
    add("--loads", default="0.5,0.8,0.95,1.1", help="shares of the knee, one after the other")
    add("--traps", action="store_true", help="the traps too, on the traces' sessions")
    add("--seeds", type=int, default=5)
    add("--jobs", type=int, default=1, help="processes")
    add(
        "--results", type=Path, required=True, metavar="FILE", help="JSON lines; what is there already is not run again"
    )
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Sweep, and print the tables. Raises ValueError or OSError, in words for the user, for what cannot be used."""
    if args.arms is None:
        args.arms = [*POLICIES, oracle.NAME]
    asked = options.options(args)
    done = {cell.key(): cell for cell in _load(args.results)}
    with Player(args.jobs, args.quiet) as player:
        for key, at, load in _cells(asked, args, player):
            if key not in done:
                scenario, rate = at()
                found = player.compare(scenario, asked.arms, args.seeds).results
                goal = scenario.ratio <= 0.51 and 0 < load <= 0.8
                done[key] = Cell(scenario.name, load, rate, scenario.ratio, goal, found)
                _append(args.results, done[key])
    for table in tables(list(done.values())):
        print(table.markdown() + "\n")
    return 0


def tables(cells: Sequence[Cell]) -> list[Table]:
    """What each arm came to in each cell; the default against the best; ideal against achieved."""
    return [verdict.overview(cells), verdict.misses(cells, DEFAULT), verdict.ideal(cells, DEFAULT)]


def _cells(asked: options.Options, args: argparse.Namespace, player: Player) -> Iterator[tuple[str, Any, float]]:
    pace = asked.pace(asked.mix())
    for ratio in map(float, args.ratios.split(",") if args.ratios else ()):
        here = dataclasses.replace(asked, ratio=ratio)
        limit = _Limit(here, pace, player)
        for load in map(float, args.loads.split(",")):
            name = f"{here.scenario(pace, 1.0).name}, working set / memory {ratio:g}"
            yield f"{name} {load:g}", _at(limit, name, load), load
    if args.traps:
        scripts = pace.paced(asked.workers, pace.first_guess(asked.workers)).scripts
        for trap in TRAPS:
            scenario = trap(scripts, PROFILES[asked.profile], asked.workers, asked.requests)
            yield f"{scenario.name} 0", lambda scenario=scenario: (scenario, scenario.requests_per_s), 0.0


class _Limit:
    """The knee at one ratio, looked for when it is first needed."""

    def __init__(self, asked: options.Options, pace: Pace, player: Player) -> None:
        self.asked = asked
        self.pace = pace
        self._player = player
        self._knee = 0.0

    @property
    def knee(self) -> float:
        if not self._knee:
            guess = self.pace.first_guess(self.asked.workers)
            self._knee = knee.find(self.scenario, KNEE_ARMS, self._player.one, guess)
            print(f"knee at ratio {self.asked.ratio}: {self._knee:.2f} requests/s", file=sys.stderr)
        return self._knee

    def scenario(self, rate: float) -> Scenario:
        return self.asked.scenario(self.pace, rate)


def _at(limit: _Limit, name: str, load: float) -> Any:
    def make() -> tuple[Scenario, float]:
        rate = load * limit.knee
        return dataclasses.replace(limit.scenario(rate), name=name), rate

    return make


def _append(path: Path, cell: Cell) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(cell)) + "\n")


def _load(path: Path) -> Iterator[Cell]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(line)
        arms = {
            arm: [Summary(**run | {"ttft_curve": tuple(run["ttft_curve"])}) for run in runs]
            for arm, runs in kept.pop("arms").items()
        }
        yield Cell(**kept, arms=arms)
