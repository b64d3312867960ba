"""Drill `burst`: many equal new long prompts at the same moment on idle workers, for three ways of choosing.

The engines run at their honest speed. Every repeat has a prompt of its own for each way, so nobody finds it cached; the
ways take turns in going first.
"""

import asyncio
import random
import statistics
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

from loadtests.endurance import results as r
from loadtests.endurance.client import ask, chat
from loadtests.endurance.processes import MODEL, Engine, Router, ports
from loadtests.endurance.report import Table, number

REQUESTS = 64
WORKERS = 8
REPEATS = 3
PROMPT_TOKENS = 20_000
CHARS_PER_TOKEN = 4
WORDS = (
    *("the", "and", "for", "you", "was", "not", "are", "but", "can", "had", "has", "her", "his"),
    *("how", "its", "let", "may", "new", "now", "off", "old", "one", "our", "out"),
)
"""Each is one token with its space: of real tokenizers, and of the engine's own (four bytes)."""
ANSWER_TOKENS = 4
PROFILE = "llama-3.1-8b-a100"
"""20,000 tokens take it 1.7 s."""
PAUSE_S = 1.3
"""Between bursts, so that every router has seen the engines idle."""


Measure = Callable[["list[Shot]"], str]


class Shot(NamedTuple):
    """One burst, one way."""

    results: list[r.Result]
    computed_tokens: int
    """By all engines together."""
    prompt_tokens: int
    """Of one prompt, as the engines count."""
    most_on_one: int
    """Requests on the worker that got most."""
    used: int
    """Workers that got any."""


async def run(tokenizer: str = "bytes") -> list[Table]:
    """About 50 s. `tokenizer` is the engines'; a real one is the routers' too."""
    router_ports, engine_ports = ports(3 + WORKERS)[:3], ports(3 + WORKERS)[3:]
    flags = ("--tokenizer", tokenizer, "--profile", PROFILE, "--block-tokens", "64")
    engines = [Engine(port, *flags) for port in engine_ports]
    given = ("--tokenizer", "off" if tokenizer == "bytes" else tokenizer)
    routers = {
        "expected_ttft": Router(router_ports[0], engines, *given),
        "round_robin": Router(router_ports[1], engines, *given, "--policy", "round_robin"),
        "one fixed worker": Router(router_ports[2], engines[:1], *given),
    }
    shots: dict[str, list[Shot]] = {name: [] for name in routers}
    async with AsyncExitStack() as stack:
        for process in (*engines, *routers.values()):
            await stack.enter_async_context(process)
        for router in routers.values():
            await ask(router.port, chat(MODEL, "Are you there?", ANSWER_TOKENS))
        for repeat in range(REPEATS):
            order = list(routers)
            for name in order[repeat % len(order) :] + order[: repeat % len(order)]:
                await asyncio.sleep(PAUSE_S)
                shots[name].append(await _shoot(routers[name], engines, new_prompt(f"{name} {repeat}")))
    return [table(shots, tokenizer)]


def new_prompt(seed: str) -> str:
    """Text of about PROMPT_TOKENS tokens that no other seed begins with."""
    rng = random.Random(seed)
    return f"{seed} {' '.join(rng.choices(WORDS, k=PROMPT_TOKENS))}"[: PROMPT_TOKENS * CHARS_PER_TOKEN]


async def _shoot(router: Router, engines: list[Engine], prompt: str) -> Shot:
    before = [await engine.state() for engine in engines]
    body = chat(MODEL, prompt, ANSWER_TOKENS)
    results = await asyncio.gather(*(ask(router.port, body) for _ in range(REQUESTS)))
    after = [await engine.state() for engine in engines]
    spent = [_difference(old, new) for old, new in zip(before, after, strict=True)]
    counts = [requests for requests, _, _ in spent]
    queried = sum(tokens for _, tokens, _ in spent)
    return Shot(list(results), sum(s[2] for s in spent), queried // REQUESTS, max(counts), sum(n > 0 for n in counts))


def _difference(before: dict[str, int], after: dict[str, int]) -> tuple[int, int, int]:
    requests, queried, computed = (
        after[name] - before[name] for name in ("requests", "queried_tokens", "computed_tokens")
    )
    return requests, queried, computed


def table(shots: dict[str, list[Shot]], tokenizer: str) -> Table:
    """Medians over the repeats, one column per way; what is repeated is counted from each way's own prompts."""

    def row(name: str, value: Measure) -> tuple[str, ...]:
        return (name, *(value(way) for way in shots.values()))

    rows = [
        row("TTFT p50", lambda way: _median(way, 0.5)),
        row("TTFT p99", lambda way: _median(way, 0.99)),
        row("... of each repeat", lambda way: ", ".join(number(r.ttft_ms(shot.results, 0.99)) for shot in way)),
        row("tokens prefilled more than once", lambda way: number(_again(way))),
        row("... in prompts", lambda way: number(_again(way) / way[0].prompt_tokens, "", 1)),
        row("workers used", lambda way: ", ".join(str(shot.used) for shot in way)),
        row("most requests on one", lambda way: ", ".join(str(shot.most_on_one) for shot in way)),
        row("not complete", lambda way: number(sum(len(s.results) - r.count(s.results, r.End.COMPLETE) for s in way))),
    ]
    tokens = next(iter(shots.values()))[0].prompt_tokens
    title = f"{REQUESTS} equal new prompts of {tokens:,} tokens at once, {WORKERS} workers ({PROFILE}, {tokenizer})"
    return Table(f"{title}, medians of {REPEATS}", ("", *shots), rows)


def _median(way: list[Shot], share: float) -> str:
    return number(statistics.median(r.ttft_ms(shot.results, share) for shot in way), "ms")


def _again(way: list[Shot]) -> float:
    return statistics.median(shot.computed_tokens - shot.prompt_tokens for shot in way)
