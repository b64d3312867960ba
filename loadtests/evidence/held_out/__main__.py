"""Arms in many small cells, and how many times the first arm's time to first token each other arm's is.

    python -m loadtests.evidence.held_out DATA tuning --arm expected_ttft --arm FILE.py:CLASS --results runs.jsonl

`DATA` is a folder of recorded traces. All arms meet the same traffic under a seed, behind the same admission. Runs that
the file of results has are not run again.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import numpy as np

from loadtests.engine.profiles import PROFILES
from loadtests.evidence.held_out.cells import (
    HELD_OUT,
    HELD_OUT_SEEDS,
    MAX_THINK_S,
    MAX_TOKENS,
    REQUESTS,
    SEEN,
    TUNING,
    TUNING_SEEDS,
    Cell,
)
from loadtests.evidence.held_out.ratios import by_cell, overall
from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate.outcomes import Outcome
from loadtests.laboratory.simulate.pace import Pace
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import RECORDED_WARM_UP, Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix, capped
from loadtests.laboratory.simulate.traps import TRAPS
from loadtests.laboratory.traces.files import read
from loadtests.laboratory.traces.script import Script

SETS = {"tuning": (TUNING, TUNING_SEEDS), "seen": (SEEN, TUNING_SEEDS), "held-out": (HELD_OUT, HELD_OUT_SEEDS)}
MEASURES = ("mean", "p50", "p90", "unanswered")
"""Of the times to first token, in seconds; and requests that had none: refused, failed or still waiting in the end."""

Kept = dict[tuple[str, str, int], Sequence[float]]
"""The measures, by cell, arm and seed."""


@lru_cache(maxsize=2)
def scripts(data: Path, trace: str) -> Sequence[Script]:
    """A trace's sessions."""
    return capped(read(data / f"{trace}.jsonl.zst"), MAX_THINK_S, MAX_TOKENS)


def scenario(data: Path, cell: Cell) -> Scenario:
    """What all arms meet in the cell."""
    profile, sessions = PROFILES[cell.profile], scripts(data, cell.trace)
    if cell.trap:
        traps = [trap(sessions, profile, cell.workers, REQUESTS) for trap in TRAPS]
        return next(trap for trap in traps if trap.name == cell.trap)
    pace = Pace(Mix(sessions, round((1 + RECORDED_WARM_UP) * REQUESTS)), profile)
    rate = cell.load * cell.workers / pace.busy_s
    mix = pace.paced(cell.workers, rate)
    return Scenario(str(cell), mix, rate, fleet(profile, cell.workers, mix, rate, cell.ratio), requests=REQUESTS)


def measured(outcomes: Sequence[Outcome], patience_s: float) -> Sequence[float]:
    """`MEASURES` of a run. A request without a first token counts as one that waited for as long as clients do."""
    asked = [one for one in outcomes if one.measured]
    ttfts = [one.ttft if one.ttft == one.ttft else patience_s for one in asked]
    p50, p90 = np.percentile(ttfts, (50, 90))
    return fmean(ttfts), float(p50), float(p90), float(sum(one.ttft != one.ttft for one in asked))


def kept(path: Path) -> Kept:
    """The runs in the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(run["cell"], run["arm"], run["seed"]): run["figures"] for run in map(json.loads, lines)}


def play(data: Path, cells: Sequence[Cell], arms: Sequence[str], seeds: Sequence[int], path: Path) -> Kept:
    """Run what the file has not, and write each run as soon as it is done."""
    runs = kept(path)
    with path.open("a", encoding="utf-8") as file:
        for cell in cells:
            missing = [(arm, seed) for seed in seeds for arm in arms if (str(cell), arm, seed) not in runs]
            made = scenario(data, cell) if missing else None
            for arm, seed in missing:
                assert made is not None
                began = time.process_time()
                one = Run(made, arm, seed)
                summary = one.play()
                figures = runs[str(cell), arm, seed] = measured(one.outcomes, made.patience_s)
                run = {"cell": str(cell), "arm": arm, "seed": seed, "figures": figures, "hit": summary.hit}
                file.write(json.dumps(run | {"cpu_s": round(time.process_time() - began, 2)}) + "\n")
                file.flush()
    return runs


def tables(runs: Kept, cells: Sequence[Cell], arms: Sequence[str], seeds: Sequence[int]) -> Iterator[Table]:
    """All cells together, then each."""

    def values(arm: str, measure: int) -> Mapping[str, Sequence[float]]:
        return {str(cell): [runs[str(cell), arm, seed][measure] for seed in seeds] for cell in cells}

    first, *others = arms
    ratios = [[by_cell(values(arm, measure), values(first, measure)) for measure in range(3)] for arm in arms]
    failed = [str(sum(round(fmean(values(arm, 3)[str(cell)])) for cell in cells)) for arm in arms]
    rows = [
        (arm, *(str(overall(logs)) for logs in of_arm), unanswered)
        for arm, of_arm, unanswered in zip(others, ratios[1:], failed[1:], strict=True)
    ]
    title = f"{len(cells)} cells, {len(seeds)} seeds, times {first} (95 % intervals); unanswered there: {failed[0]}"
    yield Table(title, ("arm", *(f"TTFT {name}" for name in MEASURES[:3]), "unanswered"), rows)
    means = [values(arm, 0) for arm in arms]
    cell_rows = [(str(cell), *(f"{fmean(mean[str(cell)]):.3g}" for mean in means)) for cell in cells]
    yield Table("Mean TTFT in seconds, mean of the seeds", ("cell", *arms), cell_rows)


def main() -> None:
    """Run, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.held_out", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of traces")
    parser.add_argument("cells", choices=sorted(SETS))
    parser.add_argument("--arm", action="append", required=True, help="a policy's name, or FILE.py:CLASS; repeatable")
    parser.add_argument("--results", type=Path, required=True, metavar="FILE", help="JSON lines, which only grow")
    args = parser.parse_args()
    cells, seeds = SETS[args.cells]
    logging.getLogger("warmroute").setLevel(logging.ERROR)  # what happens to workers is part of the traps
    runs = play(args.data, cells, args.arm, seeds, args.results)
    for table in tables(runs, cells, args.arm, seeds):
        print(table.markdown() + "\n")


if __name__ == "__main__":
    main()
