"""`warmroute-lab pressure`: sessions of a closed loop in a fleet that is short of memory, over the bound of their wait.

Paired: every arm meets the same users with the same sessions under a seed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from loadtests.laboratory.pressure import figures, front, tables
from loadtests.laboratory.pressure.cell import Cell, profile_of
from loadtests.laboratory.pressure.kept import Kept, RunKey
from loadtests.laboratory.pressure.traffic import Limits, limited
from loadtests.laboratory.simulate.compare import Player
from loadtests.laboratory.traces.files import BYTES, read

POLICY = "expected_ttft"


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    add, limits = parser.add_argument, Limits()
    add("traces", nargs="+", type=Path, metavar="TRACE", help="recorded sessions; several mix")
    add("--ratios", default="2", help="users' contexts over the fleet's memory, one after the other")
    add(
        "--bounds", default="0,240", help="arms: values of session_wait_s, 0 for no admission; the first is compared to"
    )
    add("--workers", type=int, default=2)
    add("--routers", type=int, default=1, help="each turn comes to one at random; they know of each other 5 ms late")
    add("--prefill-rate", type=float, default=8_000.0, metavar="TOKENS/S", help="of a worker, at any context")
    add("--kv-tokens", type=int, default=500_000, metavar="TOKENS", help="memory of a worker")
    add("--min-tokens", type=int, default=limits.min_tokens, help="sessions begin where their prompts are this long")
    add("--max-tokens", type=int, default=limits.max_tokens, help="and end where a prompt with its answer has more")
    add("--min-turns", type=int, default=limits.min_turns, help="sessions with fewer in that range are left out")
    add("--max-answer-tokens", type=int, default=limits.max_answer_tokens, help="longer answers are cut")
    add("--pause-p50-s", type=float, help="scale pauses so that half are below this; default: as recorded")
    add("--max-pause-s", type=float, default=limits.max_pause_s, help="then cut longer ones")
    add("--seconds", type=float, default=4_800.0, help="measured, of virtual time")
    add("--seeds", type=int, default=5)
    add("--first-seed", type=int, default=1)
    add("--policy", default=POLICY, metavar="NAME")
    add("--tokenizer", default=BYTES, help="for traces with text; bytes: 4 a token")
    add("--results", type=Path, metavar="FILE", help="JSON lines; runs that it has are not run again")
    add("--front", type=Path, metavar="FILE.svg", help="draw turns/s against the longest wait, over the bounds")
    add("--jobs", type=int, default=1, help="processes")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Simulate, and print a table for each ratio. Raises ValueError or OSError, in words for the user, for what cannot
    be used."""
    _check(args)
    kept = Kept(args.results)
    drawn: list[tuple[Cell, tables.Runs]] = []
    with Player(args.jobs, args.quiet) as player:
        for cell in _cells(args):
            runs = _played(cell, args, kept, player)
            print(tables.table(cell, runs).markdown() + "\n", flush=True)
            drawn.append((cell, runs))
    if args.front:
        args.front.write_text(front.picture(drawn), encoding="utf-8")
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in (
        "workers",
        "routers",
        "seeds",
        "jobs",
        "prefill_rate",
        "kv_tokens",
        "seconds",
        "min_turns",
        "max_answer_tokens",
    ):
        if not getattr(args, name) >= 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1")
    if args.kv_tokens < args.max_tokens:
        raise ValueError("--kv-tokens must be --max-tokens at least: every session must fit alone")
    if not all(ratio > 0 for ratio in _numbers(args.ratios)) or not all(bound >= 0 for bound in _numbers(args.bounds)):
        raise ValueError("--ratios must be more than 0, and --bounds 0 or more")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _cells(args: argparse.Namespace) -> Iterator[Cell]:
    limits = Limits(
        args.min_tokens, args.max_tokens, args.min_turns, args.max_answer_tokens, args.pause_p50_s, args.max_pause_s
    )
    scripts = limited([script for path in args.traces for script in read(path, args.tokenizer, 0)], limits)
    trace = " + ".join(path.name.partition(".")[0] for path in args.traces)
    for ratio in _numbers(args.ratios):
        profile = profile_of(args.prefill_rate, args.kv_tokens)
        yield Cell(f"{trace}, ratio {ratio:g}", scripts, args.workers, profile, ratio, args.seconds, args.routers)


def _played(cell: Cell, args: argparse.Namespace, kept: Kept, player: Player) -> tables.Runs:
    """All arms of a cell, with what was played before."""
    name = f"{cell.name}; {args.policy}; {tables.described(cell)}"
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    arms = _numbers(args.bounds)
    for arm in arms:
        missing = [(args.policy, seed) for seed in seeds if RunKey(name, arm, seed) not in kept.runs]
        for _, seed, found in player.every(figures.play, cell.scenario(arm), missing):
            kept.add(RunKey(name, arm, seed), found)
    return {arm: [kept.runs[RunKey(name, arm, seed)] for seed in seeds] for arm in arms}
