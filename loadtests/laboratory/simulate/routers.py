"""`warmroute-lab routers`: what do several routers, each of which sees the others a moment late, lose against one?

Paired: every number of routers meets the same sessions under a seed; which router a request goes to is drawn anew.
"""

import argparse
import dataclasses
from collections.abc import Sequence

from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate import options
from loadtests.laboratory.simulate.compare import Player
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.scenario import Routers, Scenario
from loadtests.laboratory.simulate.statistics import Interval, interval, paired_ratio
from loadtests.laboratory.simulate.tables import Read

TTFTS: dict[str, tuple[Read, float]] = {
    "TTFT p50": (lambda s: s.ttft_p50, 1.05),
    "TTFT p90": (lambda s: s.ttft_p90, 1.05),
    "TTFT p99": (lambda s: s.ttft_p99, 1.10),
}
"""What is compared, and the goal: at most this many times one router's."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    options.add_to(parser)
    add = parser.add_argument
    add("--counts", default="5,8", help="numbers of routers, one after the other")
    add("--late-ms", default="5,50,500", help="after which routers know what another one did, one after the other")
    add("--seeds", type=int, default=10)
    add("--jobs", type=int, default=1, help="processes")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Simulate, and print the table. Raises ValueError or OSError, in words for the user, for what cannot be used."""
    if args.arms is None:
        args.arms = options.DEFAULT_ARMS[:1]
    asked = options.options(args)
    if asked.rate is None or len(asked.arms) > 1:
        raise ValueError("needs --rate, and one --policy at most")
    scenario = asked.scenario(asked.pace(asked.mix()), asked.rate)
    several = [Routers(int(n), float(ms) / 1000) for n in args.counts.split(",") for ms in args.late_ms.split(",")]
    with Player(args.jobs, args.quiet) as player:
        one, *found = (
            _played(player, scenario, routers, asked.arms[0], args.seeds) for routers in (Routers(), *several)
        )
    print(table(one, dict(zip(several, found, strict=True))).markdown())
    return 0


def table(one: Sequence[Summary], found: dict[Routers, Sequence[Summary]]) -> Table:
    """One router's figures; then how many times those the others' are."""
    rows = [("1", _hit(one), *(f"{interval([read(run) for run in one]).mean:.3g} s" for read, _ in TTFTS.values()))]
    for routers, runs in found.items():
        ratios = [paired_ratio(list(map(read, runs)), list(map(read, one))) for read, _ in TTFTS.values()]
        cells = (_times(ratio, goal) for ratio, (_, goal) in zip(ratios, TTFTS.values(), strict=True))
        rows.append((f"{routers.count}, {1000 * routers.staleness_s:g} ms late", _hit(runs), *cells))
    goals = ", ".join(f"{goal:g}" for _, goal in TTFTS.values())
    return Table(f"Several routers, times one router's (goals {goals})", ("routers", "hit %", *TTFTS), rows)


def _played(player: Player, scenario: Scenario, routers: Routers, arm: str, seeds: int) -> list[Summary]:
    here = dataclasses.replace(scenario, routers=routers)
    done = {seed: summary for _, seed, summary in player.each(here, [(arm, seed) for seed in range(1, seeds + 1)])}
    return [done[seed] for seed in sorted(done)]


def _hit(runs: Sequence[Summary]) -> str:
    return f"{interval([100 * run.hit for run in runs]).mean:.1f}"


def _times(ratio: Interval, goal: float) -> str:
    return f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f}){'' if ratio.mean <= goal else ' missed'}"
