"""Users of a closed loop, each with one session at a time, whose turns go to routers at random.

A user whose turn fails sends it again, as agents do.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from loadtests.harness.processes import MODEL, Router
from loadtests.laboratory.replay.client import Client, Question
from loadtests.laboratory.replay.record import Record

TURNS = 12
FIRST_BYTES, MORE_BYTES = 24_000, 1_000
"""Of a session's first prompt, and of what each turn adds: 6,000 and 250 tokens."""
ANSWER_TOKENS = 24
PAUSE_S = (0.2, 1.5)
TIMEOUT_S = 120.0
AGAIN_S = 0.2
TOOL = {"type": "function", "function": {"name": "run", "description": "Run a command.", "parameters": {}}}
WORDS = ("worker", "prefix", "block", "chain", "lease", "token", "prompt", "session", "cache", "stream", "request")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and the router that got it."""

    record: Record
    router: int


@dataclass(slots=True)
class Users:
    """So many; `alive` says which routers are there for new requests."""

    count: int
    routers: Sequence[Router]
    seed: int = 1
    asked: list[Asked] = field(default_factory=list)
    waiting: dict[tuple[str, int], float] = field(default_factory=dict)
    """When each request that has no answer yet was asked."""
    alive: set[int] = field(default_factory=set)

    async def play(self, seconds: float) -> None:
        """For this time, or until it is cancelled; what has no answer by then is cut."""
        self.alive = set(range(len(self.routers)))
        async with Client(TIMEOUT_S, time.monotonic) as client:
            tasks = [asyncio.create_task(self._user(client, number)) for number in range(self.count)]
            try:
                await asyncio.sleep(seconds)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _user(self, client: Client, number: int) -> None:
        rng = random.Random(f"{self.seed} {number}")
        await asyncio.sleep(rng.random() * 3)
        for session in itertools.count():
            name = f"{number}.{session}"
            messages = [{"role": "user", "content": f"{name} {text(rng, FIRST_BYTES)}"}]
            for turn in range(TURNS):
                await self._turn(client, rng, name, turn, messages)
                messages += [{"role": "assistant", "content": text(rng, MORE_BYTES // 2)}]
                messages += [{"role": "user", "content": text(rng, MORE_BYTES // 2)}]
                await asyncio.sleep(rng.uniform(*PAUSE_S))

    async def _turn(
        self, client: Client, rng: random.Random, name: str, turn: int, messages: list[dict[str, str]]
    ) -> None:
        body = {"model": MODEL, "messages": messages, "max_tokens": ANSWER_TOKENS, "stream": True, "tools": [TOOL]}
        body |= {"stream_options": {"include_usage": True}, "tool_choice": "required"}
        headers = {"content-type": "application/json"}
        while True:
            router = rng.choice(sorted(self.alive))
            url = f"{self.routers[router].url}/v1/chat/completions"
            self.waiting[name, turn] = time.monotonic()
            record = await client.ask(Question(name, turn, url, msgspec.json.encode(body), headers))
            del self.waiting[name, turn]
            self.asked.append(Asked(record, router))
            if not record.error:
                return
            await asyncio.sleep(AGAIN_S)


def text(rng: random.Random, size: int) -> str:
    """Made-up text of about this many bytes."""
    return " ".join(rng.choices(WORDS, k=size // 7))
