"""`warmroute-lab policies`: all arms over memory, load and traps, and where the default is not the best."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate import cells, options, oracle, verdict
from loadtests.laboratory.simulate.cells import KNEE_ARMS, Cell, Planned
from loadtests.laboratory.simulate.compare import Player
from loadtests.laboratory.simulate.kept import Facts, Kept, RunKey
from policies import POLICIES

DEFAULT = KNEE_ARMS[0]


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    options.add_to(parser)
    add = parser.add_argument
    add("--ratios", default="0.25,0.5,1,2,4", help="working set / KV memory, one after the other")
    add("--loads", default="0.5,0.8,0.95,1.1", help="shares of the knee, one after the other")
    add("--traps", action="store_true", help="the traps too, on the first trace's sessions")
    add("--seeds", type=int, default=5)
    add("--jobs", type=int, default=1, help="processes")
    add("--results", type=Path, required=True, metavar="FILE", help="JSON lines; runs that it has are not run again")
    add("--again", action="append", default=[], metavar="ARM", help="forget the runs that FILE has of this arm")
    add("--every-arm", action="store_true", help="print all arms' figures in all cells")
    add("--report", action="store_true", help="run nothing: print what FILE has, each cell with the arms that it has")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Sweep, and print the tables. Raises ValueError or OSError, in words for the user, for what cannot be used."""
    if args.arms is None:
        args.arms = [*POLICIES, oracle.NAME]
    asked = options.options(args)
    kept = Kept(args.results, _settings(asked))
    for arm in args.again:
        kept.forget(arm)
    if args.report:
        done = list(cells.of_results(kept, args.seeds, DEFAULT))
    else:
        with Player(args.jobs, args.quiet) as player:
            planned = _planned(asked, args, (kept, player))
            done = [cell for group in planned for cell in _swept(group, args, kept, player)]
    if not done:
        raise ValueError(f"{args.results} has no cell with {args.seeds} runs of an arm")
    for table in tables(done, args.every_arm):
        print(table.markdown() + "\n")
    return 0


def tables(done: Sequence[Cell], every_arm: bool = False) -> list[Table]:
    """How often each arm is best; the default against the best, cell by cell; ideal against achieved."""
    whole = [verdict.overview(done)] if every_arm else []
    return [*whole, verdict.arms(done), verdict.against_best(done, DEFAULT), verdict.ideal(done, DEFAULT)]


def _settings(asked: options.Options) -> dict[str, object]:
    """What runs of one file must have in common."""
    varied = {"traces", "arms", "load", "rate", "ratio"}
    return {name: value for name, value in dataclasses.asdict(asked).items() if name not in varied}


def _planned(
    asked: options.Options, args: argparse.Namespace, play: tuple[Kept, Player]
) -> Iterator[Sequence[Planned]]:
    ratios, loads = ([float(n) for n in text.split(",") if n] for text in (args.ratios, args.loads))
    if args.traps:
        yield list(cells.of_traps(dataclasses.replace(asked, traces=asked.traces[:1])))
    for trace in asked.traces if ratios else ():
        yield cells.of_trace(dataclasses.replace(asked, traces=[trace]), ratios, loads, play)


def _swept(group: Sequence[Planned], args: argparse.Namespace, kept: Kept, player: Player) -> Iterator[Cell]:
    """The cells of one trace, the corners first: what is hopeless there is left out of the others."""
    corners: list[Cell] = []
    for planned in group:
        left_out = set() if planned.corner else cells.hopeless(corners)
        cell = _cell(planned, [arm for arm in args.arms if arm not in left_out], args.seeds, kept, player)
        if planned.corner:
            corners.append(cell)
        yield cell


def _cell(planned: Planned, arms: Sequence[str], seeds: int, kept: Kept, player: Player) -> Cell:
    wanted = [RunKey(planned.name, planned.load, arm, seed) for seed in range(1, seeds + 1) for arm in arms]
    missing = [(key.arm, key.seed) for key in wanted if key not in kept.runs]
    if missing:
        scenario = planned.make()
        facts = Facts(planned.name, planned.load, scenario.requests_per_s, scenario.ratio)
        for arm, seed, summary in player.each(scenario, missing):
            kept.run(facts, arm, seed, summary)
    facts = kept.facts[planned.name, planned.load]
    return Cell(facts, {arm: [kept.runs[key] for key in wanted if key.arm == arm] for arm in arms})
