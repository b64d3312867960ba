"""Stretches of recorded sessions: long prompts, each of which continues the one before, and the pauses between them."""

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from statistics import median
from typing import Any

import msgspec

from loadtests.laboratory.replay.conversations import Ask, Conversation, endless

MIN_BYTES = 60_000
MAX_BYTES = 160_000
"""Of a prompt. Shorter ones are no agents at work; longer ones do not fit the smallest KV memory that is tried."""
MIN_TURNS = 14
MAX_TURNS = 40
"""Of a session. The shorter they are, the more of all work is first prompts, which no router can save."""
SYSTEM_BYTES = 40_000
"""Of a system prompt that many sessions share, in the scenarios that have one."""
LEAST_TOOL_S, TOOL_P50_S, MAX_TOOL_S = 0.1, 1.0, 3.0
"""Pauses of tool calls."""
TOOL = {"type": "function", "function": {"name": "run", "description": "Run a command.", "parameters": {}}}
_WORDS = ("worker", "prefix", "block", "chain", "lease", "token", "prompt", "session", "cache", "stream", "request")


def stretches(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Of each conversation its first stretch, if it has one. Raises ValueError if none has."""
    sizes: dict[int, int] = {}
    found = [stretch for conversation in conversations if (stretch := _stretch(conversation, sizes))]
    if not found:
        raise ValueError(f"no session has {MIN_TURNS} requests of {MIN_BYTES} to {MAX_BYTES} bytes in a row")
    return found


def lively(conversations: Sequence[Conversation], live: int, seed: int) -> Iterator[Conversation]:
    """All in random order, again and again; the first `live` of them begin somewhere in their middle, so that sessions
    begin and end all the time from the start on."""
    rng = random.Random(seed)
    order = endless(conversations, rng)
    for conversation in islice(order, live):
        yield _part(conversation, rng.randrange(conversation.turns), conversation.turns)
    yield from order


def with_system(conversation: Conversation, tenant: int) -> Conversation:
    """The same behind a long system prompt that all sessions of the tenant have in common."""
    system = {"role": "system", "content": text(tenant, SYSTEM_BYTES)}

    def make() -> Iterator[Ask]:
        for ask in conversation.make():
            yield ask._replace(body={**ask.body, "messages": [system, *ask.body["messages"]]})

    return dataclasses.replace(conversation, make=make)


def with_tools(conversations: Sequence[Conversation]) -> list[Conversation]:
    """The same with pauses as tools make them: scaled so that half are below a second, the longest ones cut. Answers
    call a tool where the recorded ones did."""
    recorded = median(ask.think_s for conversation in conversations for ask in islice(conversation.make(), 1, None))
    return [_paced(conversation, TOOL_P50_S / max(LEAST_TOOL_S, recorded)) for conversation in conversations]


def _paced(conversation: Conversation, scale: float) -> Conversation:
    def make() -> Iterator[Ask]:
        for ask, after in pairwise(chain(conversation.make(), (None,))):
            assert ask is not None
            body = {**ask.body, "tools": [TOOL], **({"tool_choice": "required"} if _calls(ask, after) else {})}
            yield ask._replace(think_s=min(max(LEAST_TOOL_S, scale * ask.think_s), MAX_TOOL_S), body=body)

    return dataclasses.replace(conversation, make=make)


def _calls(ask: Ask, after: Ask | None) -> bool:
    """Does the answer call a tool? The next request begins with it."""
    answer = after.body["messages"][len(ask.body["messages"]) :][:1] if after is not None else ()
    return any(message.get("tool_calls") for message in answer)


def text(seed: int, size: int) -> str:
    """Made-up text of about this many bytes."""
    rng = random.Random(seed)
    return " ".join(rng.choices(_WORDS, k=size // 7)) + f" {seed}"


def _stretch(conversation: Conversation, sizes: dict[int, int]) -> Conversation | None:
    first = end = before = 0
    for index, ask in enumerate(conversation.make()):
        size = sum(_size(message, sizes) for message in ask.body["messages"])
        if not MIN_BYTES <= size <= MAX_BYTES or (size <= before and end > first):
            if end - first >= MIN_TURNS:
                break
            first = index + 1
        end, before = index + 1, size
        if end - first == MAX_TURNS:
            break
    return _part(conversation, first, end) if end - first >= MIN_TURNS else None


def _size(message: Mapping[str, Any], sizes: dict[int, int]) -> int:
    """Messages live as long as their conversation, so that they can be known by their address."""
    if id(message) not in sizes:
        sizes[id(message)] = len(msgspec.json.encode(message))
    return sizes[id(message)]


def _part(conversation: Conversation, first: int, end: int) -> Conversation:
    def make() -> Iterator[Ask]:
        return islice(conversation.make(), first, end)

    return dataclasses.replace(conversation, turns=end - first, make=make)
