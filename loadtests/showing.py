"""The first minute of the demo: the same growing conversations through the router, and in turn over workers made alike.

Both sides get the same prompts at the same time. A line for each turn says what was found cached, how long the first
token took and how much prefill that saved, so that the two can be compared while they grow.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

CONVERSATIONS = 5
"""An odd number, so that each turn finds the other of two workers, as behind a balancer with many clients."""
TURNS = 6
FIRST_WORDS, MORE_WORDS = 9000, 1500
"""An agent's context, and what each turn adds: files that it read."""
ANSWER_TOKENS = 24
ANSWER_S = 60.0
WORDS = (
    *("cache", "worker", "prefix", "token", "block", "session", "route", "query", "answer"),
    *("model", "memory", "turn", "agent", "file", "line", "test", "code"),
)


HEAD = f"""
{CONVERSATIONS} agents work, {TURNS} turns each, through the router and, beside it, over two workers in turn:

                     the router                     in turn (round robin)
  turn   prompt   cached   first token          cached   first token          prefill saved"""


class Heard(NamedTuple):
    """What one answer said."""

    prompt_tokens: int
    cached_tokens: int
    ttft_s: float
    text: str


@dataclass(slots=True)
class Total:
    """Of one side's answers."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    ttft_s: float = 0.0
    answers: int = 0

    def add(self, heard: Heard) -> None:
        """One more answer."""
        self.prompt_tokens += heard.prompt_tokens
        self.cached_tokens += heard.cached_tokens
        self.ttft_s += heard.ttft_s
        self.answers += 1

    def __str__(self) -> str:
        share = self.cached_tokens / max(1, self.prompt_tokens)
        return f"{share:>6.0%} {1000 * self.ttft_s / max(1, self.answers):>10,.0f} ms"


async def show(router: str, workers: Sequence[str], model: str, say: Callable[[str], None]) -> tuple[Total, Total]:
    """Play all turns on both sides, and say what came of each. Returns the totals: the router's, the other's. Raises
    httpx.HTTPError."""
    talks = list(conversations(model))
    turn_of = itertools.cycle(workers)
    every = Total(), Total()
    say(HEAD)
    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        for number in range(1, TURNS + 1):
            asked = [ask(client, url, talk) for talk in talks for url in (router, next(turn_of))]
            heard = await asyncio.gather(*asked)
            sides = heard[::2], heard[1::2]
            say(line(str(number), *(total_of(side) for side in sides)))
            for side, total in zip(sides, every, strict=True):
                for one in side:
                    total.add(one)
            for talk, one in zip(talks, sides[0], strict=True):
                talk["messages"] += [{"role": "assistant", "content": one.text}, user(MORE_WORDS, f"{talk}")]
    say(line("all", *every))
    return every


def conversations(model: str) -> Iterator[dict[str, Any]]:
    """The requests of the first turns: one system prompt, and then each its own context."""
    system = {"role": "system", "content": words(600, "system")}
    for number in range(CONVERSATIONS):
        messages = [system, user(FIRST_WORDS, f"agent {number}")]
        yield {
            "model": model,
            "messages": messages,
            "max_tokens": ANSWER_TOKENS,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def user(count: int, seed: str) -> dict[str, str]:
    """A message of `count` words."""
    return {"role": "user", "content": words(count, seed)}


def words(count: int, seed: str) -> str:
    """So many words: equal for equal seeds."""
    rng = random.Random(seed)
    return " ".join(rng.choice(WORDS) for _ in range(count))


async def ask(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> Heard:
    """Ask, and read the answer as it comes. Raises httpx.HTTPError."""
    began, first, text, usage = time.monotonic(), 0.0, "", dict[str, Any]()
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for each in answer.aiter_lines():
            if not each.startswith("data: {"):
                continue
            event = json.loads(each.removeprefix("data: "))
            first = first or time.monotonic()
            usage = event.get("usage") or usage
            text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Heard(usage.get("prompt_tokens", 0), cached, (first or time.monotonic()) - began, text)


def total_of(side: Sequence[Heard]) -> Total:
    """Of one turn's answers."""
    total = Total()
    for heard in side:
        total.add(heard)
    return total


def line(turn: str, ours: Total, other: Total) -> str:
    """One row of the table. What is saved are tokens that the router's workers need not compute and the others must."""
    computed = [side.prompt_tokens - side.cached_tokens for side in (ours, other)]
    saved = f"{(computed[1] - computed[0]) / max(1, computed[1]):>6.0%} ({computed[1] - computed[0]:,} tokens)"
    return f"  {turn:>4} {ours.prompt_tokens:>8,}   {ours}          {other}         {saved}"
