"""Traces with text: recorded agent sessions (messages, and requests as spans of them), and the user's own request logs.

Prompts become token ids by a *ruler*: the real tokenizer and chat template, or four bytes of text a token. A request
log is JSONL with one OpenAI chat request per line, in order of time: `{"t": 12.5, "session": "any id", "body":
{"messages": [...], "tools": [...]}, "answer_tokens": 210, "took_s": 4.2}`. `t` is in seconds; `session` may be missing
(then `body.user`, else the session with whose last messages it begins); `usage` as OpenAI reports it may stand for
`answer_tokens`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import takewhile
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from loadtests.engine.byte_tokens import chat_ids
from loadtests.engine.chains import Words
from loadtests.laboratory.traces.mooncake import TOKENS_PER_S
from loadtests.laboratory.traces.script import Script, Turn, chain_of_ids, delta
from tokenizer_cache.bodies.request import parse

DEFAULT_ANSWER_TOKENS = 200


class Measured(NamedTuple):
    """A prompt's chain and its length in tokens."""

    chain: Words
    tokens: int


class Ruler(Protocol):
    """Turns a chat request's body into a chain."""

    def measure(self, body: Mapping[str, Any]) -> Measured: ...


class ByteRuler:
    """Four bytes of text are one token: fast, and wrong by about a quarter."""

    def measure(self, body: Mapping[str, Any]) -> Measured:
        ids = chat_ids(dict(body))
        return Measured(chain_of_ids(ids, 0), len(ids))


class TokenizerRuler:
    """The model's own tokenizer and template, through the router's incremental encoder."""

    def __init__(self, spec: str) -> None:
        os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
        from tokenizer_cache.encoder import PromptEncoder  # noqa: PLC0415  (loads the tokenizers: most runs need none)
        from tokenizer_cache.tokenizers.load import load  # noqa: PLC0415

        self._encoder = PromptEncoder("lab", load(spec), 64, b"lab")

    def measure(self, body: Mapping[str, Any]) -> Measured:
        prompt = self._encoder.encode(parse("chat", msgspec.json.encode({"model": "lab", **body})))
        return Measured(np.frombuffer(prompt.chain, dtype=np.uint64), prompt.tokens)


class Asked(NamedTuple):
    """One recorded request, with its text."""

    at_s: float
    """Since the start of its session, or of the log."""
    body: Mapping[str, Any]
    """Of an OpenAI chat request: messages, tools."""
    answer_tokens: int
    took_s: float


class Talk(NamedTuple):
    """One recorded session, with its text."""

    name: str
    starts_s: float | None
    """Since the start of the trace, if that says so."""
    asked: list[Asked]

    def thinks_s(self) -> list[float]:
        """The pause before each request, from the end of the answer before it; 0 for the first."""
        ends = [asked.at_s + asked.took_s for asked in self.asked]
        return [0.0] + [max(0.0, asked.at_s - end) for asked, end in zip(self.asked[1:], ends, strict=False)]


def read_sessions(rows: Iterator[Mapping[str, Any]], ruler: Ruler) -> Iterator[Script]:
    """Sessions as pools of messages, with requests that are spans of the pool."""
    yield from marked([_script(talk, ruler) for talk in talks_of_sessions(rows)])


def read_log(rows: Iterator[Mapping[str, Any]], ruler: Ruler) -> Iterator[Script]:
    """Requests of a log, put together to sessions."""
    yield from marked([_script(talk, ruler) for talk in talks_of_log(rows)])


def talks_of_sessions(rows: Iterator[Mapping[str, Any]]) -> Iterator[Talk]:
    """The same, text and all. Messages are kept once, however many requests have them."""
    for row in rows:
        pool = [_readable(message) for message in row["messages"]]
        yield Talk(str(row["id"]), None, [_spanned(row, pool, request) for request in row["requests"]])


def talks_of_log(rows: Iterator[Mapping[str, Any]]) -> Iterator[Talk]:
    """The same, text and all."""
    sessions: dict[str, list[Asked]] = {}
    begun = _Begun()
    for row in rows:
        body = row["body"]
        session = str(row.get("session") or body.get("user") or begun.name_of(body["messages"]))
        answer = row.get("answer_tokens") or (row.get("usage") or {}).get("completion_tokens") or DEFAULT_ANSWER_TOKENS
        took_s = row.get("took_s")
        asked = Asked(float(row["t"]), body, answer, answer / TOKENS_PER_S if took_s is None else float(took_s))
        sessions.setdefault(session, []).append(asked)
    first_s = min((requests[0].at_s for requests in sessions.values()), default=0.0)
    for name, requests in sessions.items():
        yield Talk(name, requests[0].at_s - first_s, requests)


class _Begun:
    """Finds the session that a request without a name goes on: the one whose last messages it begins with."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._count = 0

    def name_of(self, messages: Sequence[Any]) -> str:
        """A new name, where there is none."""
        digests = [b""]
        for message in messages:
            digests.append(blake2b(digests[-1] + msgspec.json.encode(message), digest_size=16).digest())
        name = next((self._names.pop(digest) for digest in reversed(digests[1:-1]) if digest in self._names), "")
        if not name:
            self._count += 1
            name = f"unnamed {self._count}"
        self._names[digests[-1]] = name
        return name


def marked(scripts: list[Script]) -> Iterator[Script]:
    """The scripts, knowing how much of their first prompt another session has as well: the system prompt, the tools."""
    users = Counter(block for script in scripts if script.turns for block in script.turns[0].new.tolist())
    for script in scripts:
        first = script.turns[0].new.tolist() if script.turns else []
        shared = sum(1 for _ in takewhile(lambda block: users[block] > 1, first))
        yield replace(script, shared_blocks=shared)


def _spanned(row: Mapping[str, Any], pool: list[dict[str, Any]], request: Mapping[str, Any]) -> Asked:
    body: dict[str, Any] = {"messages": [message for a, b in request["spans"] for message in pool[a:b]]}
    if row.get("tools"):
        body["tools"] = row["tools"]
    answer = (request.get("usage") or {}).get("out") or DEFAULT_ANSWER_TOKENS
    return Asked(request["t"] or 0.0, body, answer, answer / TOKENS_PER_S)


def _readable(message: Mapping[str, Any]) -> dict[str, Any]:
    """Chat templates refuse a content of null."""
    return {**message, "content": message.get("content") or ""}


def _script(talk: Talk, ruler: Ruler) -> Script:
    turns: list[Turn] = []
    before = np.empty(0, dtype=np.uint64)
    for asked, think_s in zip(talk.asked, talk.thinks_s(), strict=True):
        measured = ruler.measure(asked.body)
        keep, new = delta(before, measured.chain)
        before = measured.chain
        turns.append(Turn(keep, new, max(1, measured.tokens), max(1, asked.answer_tokens), think_s, asked.took_s))
    return Script(talk.name, turns, 0, talk.starts_s)
