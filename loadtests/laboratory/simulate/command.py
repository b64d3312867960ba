"""`warmroute-lab simulate`: what would each policy do with this traffic?"""

import argparse
import dataclasses
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from loadtests.laboratory.simulate import knee, options, oracle, tables, what_if
from loadtests.laboratory.simulate.compare import Comparison, Player
from loadtests.laboratory.simulate.html import page
from loadtests.laboratory.simulate.run import builder
from loadtests.laboratory.traces.files import recorded


def add_to(parser: argparse.ArgumentParser) -> None:
    """This command's options."""
    options.add_to(parser)
    add = parser.add_argument
    add("--seeds", type=int, default=5, help="runs per arm, under equal seeds for all arms")
    add("--jobs", type=int, default=1, help="processes")
    add("--json", type=Path, metavar="FILE", help="write all runs' figures to this file")
    add("--html", type=Path, metavar="FILE", help="write a report with plots to this file")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Simulate, print Markdown. Raises ValueError or OSError, in words for the user, for what cannot be used."""
    asked = options.options(args)
    for arm in asked.arms:
        if arm != oracle.NAME:
            builder(arm)(random.Random(0))  # a name that does not exist is said before hours of work
    if all(getattr(args, name) in (None, False) for name in options.OTHER_TRAFFIC):
        traffic = recorded(args.traces, asked.tokenizer)
        if traffic is not None:
            return what_if.run(args, traffic)
    pace = asked.pace(asked.mix())
    started = time.process_time()
    with Player(args.jobs, args.quiet) as player:
        at_knee = 0.0
        rate = asked.rate
        if rate is None:
            candidates = [arm for arm in asked.arms if arm != oracle.NAME] or asked.arms
            print("Looking for the knee ...", file=sys.stderr)
            guess = pace.first_guess(asked.workers)
            at_knee = knee.find(lambda rate: asked.scenario(pace, rate), candidates, player.one, guess, asked.ratio)
            rate = asked.load * at_knee
        comparison = player.compare(asked.scenario(pace, rate), asked.arms, args.seeds)
    comparison = dataclasses.replace(comparison, knee=at_knee)
    print(markdown(comparison))
    if player.requests:
        cpu_s = time.process_time() - started
        speed = player.requests / cpu_s
        print(f"{player.requests:,} requests in {cpu_s:.0f} s of CPU: {speed:,.0f} a second.", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps(as_json(comparison), indent=1), encoding="utf-8")
    if args.html:
        args.html.write_text(page([comparison]), encoding="utf-8")
    return 0


def markdown(comparison: Comparison) -> str:
    """Everything that was found, as text."""
    parts = [tables.results(comparison).markdown(), tables.described(comparison) + "."]
    if len(comparison.results) > 1:
        parts.append(tables.ratios(comparison, next(iter(comparison.results))).markdown())
    return "\n\n".join(parts)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything that was found, run by run."""
    scenario = comparison.scenario
    return {
        "scenario": scenario.name,
        "requests_per_s": scenario.requests_per_s,
        "knee": comparison.knee,
        "ratio": scenario.ratio,
        "profile": dataclasses.asdict(scenario.profiles[0]),
        "workers": len(scenario.profiles),
        "routers": dataclasses.asdict(scenario.routers),
        "arms": {arm: [dataclasses.asdict(run) for run in runs] for arm, runs in comparison.results.items()},
    }
