"""What `warmroute-lab simulate` is asked for, and how it becomes scenarios."""

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.pace import Pace
from loadtests.laboratory.simulate.scenario import RECORDED_WARM_UP, Routers, Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix, capped
from loadtests.laboratory.traces.files import BYTES, read

USUAL_WORKERS = 8
USUAL_LOAD = 0.8
MAX_THINK_S = 60.0
MAX_TOKENS = 180_000
OTHER_TRAFFIC = ("load", "rate", "capacity_ratio", "sample", "max_think_s", "max_tokens", "shared_tier", "html")
"""Options that a trace which is played as it was cannot follow: with any of them it is traffic like another."""
DEFAULT_ARMS = ("expected_ttft", "least_loaded", "consistent_hash", "round_robin", "oracle")


@dataclass(frozen=True, slots=True)
class Options:
    """One command's."""

    traces: Sequence[Path]
    arms: Sequence[str]
    profile: str
    workers: int
    load: float
    """Share of the knee; not used when `rate` is given."""
    rate: float | None
    """Requests per second."""
    ratio: float | None
    routers: Routers
    requests: int
    tokenizer: str
    sample: int
    max_think_s: float
    max_tokens: int
    tier_tokens: int
    """Of each worker's second tier, or of the shared one; 0 for none."""
    shared_tier: bool
    tier_told: bool
    """The router knows of it."""

    def mix(self) -> Mix:
        """All traces' scripts together. Raises what `files.read` raises, and ValueError if none fits."""
        scripts = [script for path in self.traces for script in read(path, self.tokenizer, self.sample)]
        warm = round(RECORDED_WARM_UP * self.requests)  # what a run of a trace of single requests plays before
        return Mix(capped(scripts, self.max_think_s, self.max_tokens), self.requests + warm)

    def pace(self, mix: Mix) -> Pace:
        """How fast the workers are with it."""
        return Pace(mix, PROFILES[self.profile])

    def scenario(self, pace: Pace, rate: float) -> Scenario:
        """At this many requests per second."""
        mix = pace.paced(self.workers, rate)
        profiles = fleet(PROFILES[self.profile], self.workers, mix, rate, self.ratio)
        name = " + ".join(path.name.removesuffix(".zst").removesuffix(".jsonl") for path in self.traces)
        profiles = [dataclasses.replace(profile, tier_tokens=self.tier_tokens) for profile in profiles]
        return Scenario(
            name,
            mix,
            rate,
            profiles,
            self.routers,
            requests=self.requests,
            shared_tier=self.shared_tier,
            host_kv_tokens=self.tier_tokens if self.tier_told else 0,
        )


def add_to(parser: argparse.ArgumentParser) -> None:
    """The options that say what is simulated."""
    add = parser.add_argument
    add("traces", nargs="+", type=Path, metavar="TRACE", help="recorded traffic (.jsonl, .csv, also .zst); several mix")
    add(
        "--policy",
        action="append",
        dest="arms",
        metavar="NAME",
        help="an arm: a policy's name, FILE.py:CLASS, or oracle",
    )
    add("--profile", choices=sorted(PROFILES), default="qwen3-32b-2xh100", help="the workers' model and hardware")
    add("--workers", type=int, help="how many; default: as many as the trace had, or 8")
    load = parser.add_mutually_exclusive_group()
    load.add_argument("--load", type=float, help="share of the knee of the best arm, which is looked for; default: 0.8")
    load.add_argument("--rate", type=float, metavar="REQUESTS/S", help="the load as a number; no knee is looked for")
    add("--capacity-ratio", type=float, metavar="RATIO", help="working set / KV memory; default: the profile's memory")
    add("--routers", type=int, default=1, metavar="N")
    add("--staleness-ms", type=float, default=5.0, help="after which routers know what another one did")
    add("--private-indexes", action="store_true", help="routers share nothing: neither prefixes nor load")
    add("--tier-tokens", type=int, default=0, metavar="TOKENS", help="a second tier of KV memory on each worker's host")
    add("--shared-tier", action="store_true", help="the second tier is one pool for all workers")
    add("--tier-told", action="store_true", help="the router knows of it (its setting host_kv_tokens)")
    add("--requests", type=int, default=2000, help="measured requests per run, after the warm-up")
    add("--tokenizer", default=BYTES, help="for traces with text: a folder, hub id or package:NAME; bytes: 4 a token")
    add("--sample", type=int, metavar="N", help="only the first N sessions of each trace")
    add("--max-think-s", type=float, help=f"longer pauses within sessions are cut to this; default: {MAX_THINK_S:.0f}")
    add("--max-tokens", type=int, help=f"sessions with longer prompts are left out; default: {MAX_TOKENS:,}")


def options(args: argparse.Namespace) -> Options:
    """What was asked for. Raises ValueError for what makes no sense."""
    for name in ("workers", "routers", "requests", "seeds", "jobs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1")
    for name in ("load", "rate", "capacity_ratio"):
        if getattr(args, name) is not None and getattr(args, name) <= 0:
            raise ValueError(f"--{name.replace('_', '-')} must be more than 0")
    return Options(
        traces=args.traces,
        arms=list(dict.fromkeys(args.arms or DEFAULT_ARMS)),
        profile=args.profile,
        workers=args.workers or USUAL_WORKERS,
        load=args.load or USUAL_LOAD,
        rate=args.rate,
        ratio=args.capacity_ratio,
        routers=Routers(args.routers, args.staleness_ms / 1000, args.private_indexes),
        requests=args.requests,
        tokenizer=args.tokenizer,
        sample=args.sample or 0,
        max_think_s=MAX_THINK_S if args.max_think_s is None else args.max_think_s,
        max_tokens=MAX_TOKENS if args.max_tokens is None else args.max_tokens,
        tier_tokens=args.tier_tokens,
        shared_tier=args.shared_tier,
        tier_told=args.tier_told,
    )
