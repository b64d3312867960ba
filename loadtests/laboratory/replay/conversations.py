"""Any known trace as conversations: request bodies in order, made when they are needed, and the pauses between them."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.laboratory.replay import made_up
from loadtests.laboratory.traces.files import BYTES, UnknownTraceError, open_trace, read
from loadtests.laboratory.traces.requests import Talk, talks_of_log, talks_of_sessions
from loadtests.laboratory.traces.script import Script


class Ask(NamedTuple):
    """One request."""

    think_s: float
    """From the end of the answer before; 0 for the first."""
    answer_tokens: int
    body: Mapping[str, Any]
    """Messages and tools; what else belongs to a request is the replay's."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session, to be replayed as often as wanted."""

    name: str
    turns: int
    starts_s: float | None
    """Since the start of the trace, if that says so."""
    make: Callable[[], Iterator[Ask]]

    def copy(self, number: int) -> "Conversation":
        """The same, but its first message that is no system prompt begins otherwise: it shares nothing with the
        original but the system prompt and the tools."""
        mark = f"({number}) "
        return replace(self, name=f"{self.name}#{number}", make=lambda: (_marked(ask, mark) for ask in self.make()))


def load(files: Sequence[Path], limit: int = 0) -> list[Conversation]:
    """The first `limit` conversations of each file (0: all). Raises UnknownTraceError, OSError."""
    found = [conversation for path in files for conversation in _loaded(path)[: limit or None]]
    if not found:
        raise UnknownTraceError(f"{', '.join(map(str, files))}: no session")
    return found


def endless(conversations: Sequence[Conversation], rng: random.Random | None) -> Iterator[Conversation]:
    """All of them in random order, or as recorded without `rng`; then copies of them, again and again."""
    for round_number in count():
        order = list(conversations)
        if rng is not None:
            rng.shuffle(order)
        yield from (conversation.copy(round_number) for conversation in order) if round_number else order


def _loaded(path: Path) -> list[Conversation]:
    trace = open_trace(path)
    if trace.form == "sessions":
        return [_of_talk(talk) for talk in trace.explained(talks_of_sessions(trace.rows)) if talk.asked]
    if trace.form == "log":
        return [_of_talk(talk) for talk in trace.explained(talks_of_log(trace.rows))]
    return [_of_script(script) for script in read(path, BYTES) if script.turns]


def _of_talk(talk: Talk) -> Conversation:
    def make() -> Iterator[Ask]:
        for think_s, asked in zip(talk.thinks_s(), talk.asked, strict=True):
            yield Ask(think_s, max(1, asked.answer_tokens), asked.body)

    return Conversation(talk.name, len(talk.asked), talk.starts_s, make)


def _of_script(script: Script) -> Conversation:
    def make() -> Iterator[Ask]:
        for turn, messages in zip(script.turns, made_up.messages(script), strict=True):
            yield Ask(turn.think_s, turn.answer_tokens, {"messages": messages})

    return Conversation(script.name, len(script.turns), script.starts_s, make)


def _marked(ask: Ask, mark: str) -> Ask:
    messages = list(ask.body["messages"])
    for index, message in enumerate(messages):
        if message.get("role") not in ("system", "developer"):
            messages[index] = {**message, "content": _prefixed(message.get("content"), mark)}
            break
    return ask._replace(body={**ask.body, "messages": messages})


def _prefixed(content: object, mark: str) -> object:
    if isinstance(content, list):
        return [{"type": "text", "text": mark}, *content]
    return f"{mark}{content or ''}"
