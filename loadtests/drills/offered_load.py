"""An open-loop load of several clients: requests go out when their time has come, whatever became of the others."""

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from loadtests.drills.goodput import Outcome, Sent
from loadtests.harness.client import ask, chat
from loadtests.harness.processes import MODEL, Router, total

CHARS_PER_TOKEN = 4
WORDS = (
    *("the", "and", "for", "you", "was", "not", "are", "but", "can", "had", "has", "her", "his"),
    *("how", "its", "let", "may", "new", "now", "off", "old", "one", "our", "out"),
)
"""Each is one token with its space: of real tokenizers, and of the engine's own (four bytes)."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the requests are like, and what counts as good."""

    shares: Mapping[str, float]
    """Each client's share of the offered load."""
    shared_tokens: int = 1000
    """A system prompt that all requests begin with."""
    new_tokens: int = 2000
    """Tokens of each request's own, in the mean; from half to one and a half times as many."""
    answer_tokens: int = 32
    objective_s: float = 2.0
    """Time to first token."""
    warm_s: float = 5.0
    """At the start of a load, not counted: until the queues have settled."""
    window_s: float = 14.0
    patience_s: float = 8.0
    """A client that has no complete answer by then has left."""


class Arrival(NamedTuple):
    """When a request is sent, by which client, and which request it is."""

    at_s: float
    client: str
    body: bytes
    tokens: int


def arrivals(work: Work, rate: float, seed: int) -> Iterator[Arrival]:
    """Poisson arrivals at `rate` per second; equal seeds are equal loads."""
    rng = random.Random(seed)
    clients, weights = zip(*work.shares.items(), strict=True)
    shared = _words(random.Random(0), work.shared_tokens)
    at = 0.0
    while (at := at + rng.expovariate(rate)) < work.warm_s + work.window_s:
        tokens = round(work.new_tokens * rng.uniform(0.5, 1.5))
        prompt = f"{shared} {rng.getrandbits(64):x} {_words(rng, tokens)}"
        yield Arrival(at, rng.choices(clients, weights)[0], chat(MODEL, prompt, work.answer_tokens), tokens)


def _words(rng: random.Random, tokens: int) -> str:
    return " ".join(rng.choices(WORDS, k=tokens))[: tokens * CHARS_PER_TOKEN]


async def offer(router: Router, work: Work, rate: float, seed: int) -> Outcome:
    """Send the load, wait for its end, and say what became of it."""
    sent: list[Sent] = []
    began = time.perf_counter()
    depths = [0.0]
    watching = asyncio.create_task(_watch(router, depths))
    async with asyncio.TaskGroup() as group:
        for arrival in arrivals(work, rate, seed):
            await asyncio.sleep(max(0.0, began + arrival.at_s - time.perf_counter()))
            group.create_task(_send(router, work, arrival, sent))
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    steady = [one for one in sent if one.result.started_at - began >= work.warm_s]
    return Outcome(len(steady) / work.window_s, work.window_s, steady, max(depths), work.objective_s)


async def _send(router: Router, work: Work, arrival: Arrival, sent: list[Sent]) -> None:
    headers = b"Authorization: Bearer %s\r\n" % key_of(arrival.client).encode()
    result = await ask(router.port, arrival.body, work.patience_s, headers)
    sent.append(Sent(arrival.client, result, arrival.tokens))


async def _watch(router: Router, depths: list[float]) -> None:
    while True:
        depths.append(total(await router.metrics(), "warmroute_queue_depth"))
        await asyncio.sleep(0.5)


def key_of(client: str) -> str:
    """The key of a client of this test."""
    return f"key-of-{client}"
