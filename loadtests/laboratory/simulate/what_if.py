"""A recorded trace played once as it was, and then with another policy, other workers or more memory: what that would
have saved, in GPU hours.

Two sums, because they are saved in different ways. *Prefill* is what the prompts' uncached tokens take; a saved hour
of it is room for more traffic. *Fleet* is what is paid: all GPUs, for as long as the trace lasts.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from math import isnan
from statistics import fmean
from typing import NamedTuple

import numpy as np

from loadtests.engine.profiles import PROFILES, Profile
from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate.compare import Player
from loadtests.laboratory.simulate.options import DEFAULT_ARMS, USUAL_WORKERS
from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.pace import cold_s
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Routers, Scenario, fleet
from loadtests.laboratory.simulate.statistics import interval
from loadtests.laboratory.simulate.traffic import Mix
from loadtests.laboratory.traces.passed import Answered, RecordedTraffic

TIER_TIMES = 4
"""A host's tier has so many times the KV memory, unless told."""
HEADER = ("", "hit %", "TTFT p50, s", "p99, s", "errors", "prefill, GPU h", "saved", "fleet, GPU h", "saved")


class Spent(NamedTuple):
    """One way to serve the trace."""

    name: str
    hit: float
    ttft_p50: float
    ttft_p99: float
    errors: int
    prefill_gpu_h: float
    fleet_gpu_h: float
    spread: float = float("nan")
    """Of `hit`: half of the 95 % interval over runs. NaN of one."""


def run(args: argparse.Namespace, traffic: RecordedTraffic) -> int:
    """Play every way, and print Markdown. The first one is what the others are compared with."""
    found = list(ways(args, traffic))
    print(table(found, f"{sum(path.stat().st_size for path in args.traces):,} bytes of trace, as recorded").markdown())
    if args.json:
        args.json.write_text(json.dumps([one._asdict() for one in found], indent=1), encoding="utf-8")
    return 0


def table(found: Sequence[Spent], title: str) -> Table:
    """All that was found."""
    return Table(title, HEADER, rows(found))


def rows(found: Sequence[Spent]) -> list[tuple[str, ...]]:
    """One for each way, its savings beside the first one that was simulated."""
    base = next(one for one in found if one.name != RECORDED)
    cells = list[tuple[str, ...]]()
    for one in found:
        saved = [base.prefill_gpu_h - one.prefill_gpu_h, base.fleet_gpu_h - one.fleet_gpu_h]
        told = ["-", "-"] if one.name in (RECORDED, base.name) else [_hours(hours) for hours in saved]
        times = f"{one.ttft_p50:.3f}", f"{one.ttft_p99:.3f}"
        hours = _hours(one.prefill_gpu_h), told[0], _hours(one.fleet_gpu_h), told[1]
        hit = f"{100 * one.hit:.1f}" + ("" if isnan(one.spread) else f" ±{100 * one.spread:.1f}")
        cells.append((one.name, hit, *times, str(one.errors), *hours))
    return cells


RECORDED = "as recorded"
"""The row of what was measured, not simulated."""


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if abs(hours) >= 100 else f"{round(hours, 6):.3g}"


def ways(args: argparse.Namespace, traffic: RecordedTraffic) -> Iterator[Spent]:
    """Play them: every policy, and then the fleet changed in one thing."""
    with Player(args.jobs, args.quiet) as player:
        yield from _all(args, traffic, player)


def _all(args: argparse.Namespace, traffic: RecordedTraffic, player: Player) -> Iterator[Spent]:
    base = scenario_of(args, traffic)
    arms = list(dict.fromkeys(args.arms or DEFAULT_ARMS))
    profile, count, gpus = base.profiles[0], len(base.profiles), base.profiles[0].gpus
    hours = _span_s(base) * gpus / 3600
    if traffic.answered:
        yield recorded(traffic.answered, profile, count * hours)

    def play(scenario: Scenario, arm: str, name: str) -> Spent:
        runs = [(arm, seed) for seed in range(1, args.seeds + 1)]
        found = [each for _, _, each in player.every(_play, scenario, runs)]
        return _mean(name, found, gpus / 3600, len(scenario.profiles) * hours)

    for arm in arms:
        yield play(base, arm, arm)
    for name, scenario in variants(base, args.tier_tokens or TIER_TIMES * profile.kv_tokens):
        yield play(scenario, arms[0], f"{arms[0]}, {name}")


def scenario_of(args: argparse.Namespace, traffic: RecordedTraffic) -> Scenario:
    """The fleet as it was, as far as the trace tells; else as the options say."""
    workers = args.workers or len(traffic.workers) or USUAL_WORKERS
    profile = PROFILES[args.profile]
    known = [worker.kv_tokens for worker in traffic.workers if worker.kv_tokens]
    if known:
        profile = dataclasses.replace(profile, kv_tokens=sum(known) // len(known))
    mix = Mix(traffic.scripts, once=True)
    requests = sum(len(script.turns) for script in mix.scripts)
    rate = requests / max(1e-9, _span_of(mix))
    profiles = [
        dataclasses.replace(one, tier_tokens=args.tier_tokens) for one in fleet(profile, workers, mix, rate, None)
    ]
    told = args.tier_tokens if args.tier_told else 0
    routers = Routers(args.routers, args.staleness_ms / 1000, args.private_indexes)
    return Scenario("as recorded", mix, rate, profiles, routers, requests=requests, host_kv_tokens=told)


def variants(base: Scenario, tier_tokens: int) -> Iterator[tuple[str, Scenario]]:
    """The fleet, changed in one thing."""
    profile, count = base.profiles[0], len(base.profiles)
    for workers in (count - 1, count + 1):
        if workers:
            yield f"{workers} worker{'s' * (workers > 1)}", dataclasses.replace(base, profiles=[profile] * workers)
    twice = dataclasses.replace(profile, kv_tokens=2 * profile.kv_tokens)
    yield "twice the KV memory", dataclasses.replace(base, profiles=[twice] * count)
    tier = dataclasses.replace(profile, tier_tokens=tier_tokens)
    name = f"a host tier of {tier_tokens:,} tokens"
    yield name, dataclasses.replace(base, profiles=[tier] * count, host_kv_tokens=tier_tokens)


def recorded(answered: Sequence[Answered], profile: Profile, fleet_gpu_h: float) -> Spent:
    """What was measured. Where an engine did not say what was cached, because its answer was cut for example, the same
    share was as of the others."""
    told = [(one.prompt_tokens, one.cached_tokens) for one in answered if one.cached_tokens is not None]
    hit = sum(cached for _, cached in told) / max(1, sum(tokens for tokens, _ in told))
    p50, p99 = np.percentile([one.ttft_s for one in answered], (50, 99))
    cached = [round(hit * one.prompt_tokens) if one.cached_tokens is None else one.cached_tokens for one in answered]
    prefill_s = sum(cold_s(profile, one.prompt_tokens, had) for one, had in zip(answered, cached, strict=True))
    return Spent(RECORDED, hit, float(p50), float(p99), 0, prefill_s * profile.gpus / 3600, fleet_gpu_h)


def _mean(name: str, runs: Sequence[tuple[Summary, float]], gpu_h: float, fleet_gpu_h: float) -> Spent:
    """Of runs under different seeds. The traffic is what it was; routers and policies draw, and where memory is short
    one eviction leads to another."""

    def mean(read: Callable[[Summary], float]) -> float:
        return fmean(read(summary) for summary, _ in runs)

    hits = interval([summary.hit for summary, _ in runs])
    times = mean(lambda run: run.ttft_p50), mean(lambda run: run.ttft_p99)
    errors = round(mean(lambda run: run.errors))
    prefill_gpu_h = fmean(prefill_s for _, prefill_s in runs) * gpu_h
    return Spent(name, hits.mean, *times, errors, prefill_gpu_h, fleet_gpu_h, hits.half)


def _play(scenario: Scenario, arm: str, seed: int, on_request: Callable[[], None]) -> tuple[Summary, float]:
    """A run's summary, and its seconds of prefill."""
    played = Run(scenario, arm, seed)
    summary = played.play(on_request)
    profile = scenario.profiles[0]
    begun = [one for one in played.outcomes if one.first_byte == one.first_byte]
    return summary, sum(cold_s(profile, one.prompt_tokens, one.cached_tokens) for one in begun)


def _span_s(scenario: Scenario) -> float:
    return scenario.requests / scenario.requests_per_s


def _span_of(mix: Mix) -> float:
    """From the first request to the end of the last answer, as recorded."""
    return max((script.starts_s or 0.0) + sum(script.cycles_s()) for script in mix.scripts)
