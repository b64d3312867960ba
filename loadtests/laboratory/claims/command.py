"""`warmroute-lab claims`: published results under their own conditions, side by side with ours.

Each run is written to a file as soon as it is done; runs that the file has already are not made again.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from loadtests.laboratory.claims import coding_sessions, ladder, prefix_hits, shared_pool
from loadtests.laboratory.claims.claim import Arm, Claim, Figures, Runs, figures, mean
from loadtests.laboratory.markdown import Table

CLAIMS: Sequence[Claim] = (*prefix_hits.CLAIMS, *coding_sessions.CLAIMS, *shared_pool.CLAIMS, *ladder.CLAIMS)


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    add = parser.add_argument
    add("--results", type=Path, required=True, metavar="FILE", help="JSON lines; what is there is not run again")
    add("--seeds", type=int, default=3, help="runs per arm")
    add("--only", metavar="WORD", default="", help="claims whose name or source contains this")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Run what is missing and print the tables. Raises ValueError or OSError, in words for the user."""
    chosen = [claim for claim in CLAIMS if args.only.lower() in f"{claim.name} {claim.source}".lower()]
    if not chosen or args.seeds < 1:
        raise ValueError(f"no such claim: {args.only}" if not chosen else "--seeds must be at least 1")
    done = _load(args.results)
    cells = [(claim, arm, seed) for seed in range(1, args.seeds + 1) for claim in chosen for arm in claim.arms]
    for claim, arm, seed in tqdm(cells, disable=args.quiet, file=sys.stderr, unit="run"):
        key = (claim.name, arm.name, seed)
        if key not in done:
            done[key] = figures(arm, seed)
            _append(args.results, key, done[key])
    of_claim = {
        claim.name: {arm.name: [done[claim.name, arm.name, n + 1] for n in range(args.seeds)] for arm in claim.arms}
        for claim in chosen
    }
    print(findings(chosen, of_claim).markdown())
    for claim in chosen:
        print(
            f"\n{claim.source}. {claim.conditions}\n\n{arms(claim.name, claim.arms, of_claim[claim.name]).markdown()}"
        )
    return 0


def findings(claims: Sequence[Claim], runs: Mapping[str, Runs]) -> Table:
    """All published numbers beside ours."""
    rows = [
        (claim.name, finding.measure, finding.published, finding.ours, finding.verdict)
        for claim in claims
        for finding in claim.findings(runs[claim.name])
    ]
    return Table("Published and found", ("claim", "measure", "published", "here", "reading"), rows)


def arms(title: str, of: Sequence[Arm], runs: Runs) -> Table:
    """What every arm came to: means over the seeds."""
    header = ("arm", "hit % (ideal)", "TTFT p50 s", "p90", "p99", "e2e mean s", "requests/s", "input tokens/s")
    return Table(title, header, [(arm.name, *_cells(runs[arm.name])) for arm in of])


def _cells(runs: Sequence[Figures]) -> tuple[str, ...]:
    times = (f"{mean(runs, name):.3g}" for name in ("ttft_p50", "ttft_p90", "ttft_p99", "e2e_mean"))
    hit = f"{100 * mean(runs, 'hit'):.1f} ({100 * mean(runs, 'ideal_hit'):.1f})"
    return (hit, *times, f"{mean(runs, 'requests'):.2f}", f"{mean(runs, 'input_tokens'):,.0f}")


def _append(path: Path, key: tuple[str, str, int], made: Figures) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"run": key, "figures": dataclasses.asdict(made)}) + "\n")


def _load(path: Path) -> dict[tuple[str, str, int], Figures]:
    if not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {(line["run"][0], line["run"][1], line["run"][2]): Figures(**line["figures"]) for line in lines}
