"""Chat bodies as agents send them: conversations whose shared prefix grows turn by turn.

A conversation is one buffer of JSON; each turn's body is a prefix of it plus a common tail, so that hundreds of
sessions of 180 KB fit in memory. The text is generated from a seed (words, code, paths, hex, in the mix of tool
results), or taken from recorded sessions. All is built before anything is measured.
"""

import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from loadtests.evidence.cost.stub_worker import MODEL

_RECORDED = "claude_code_entirecli.jsonl.zst"
_KB = 1000
_SMALLEST_CALL = 400
"""Bytes that a tool call and its result take at least; smaller steps are plain talk."""
_TOOLS_FROM_KB = 16
"""Bodies of at least this size carry tool schemas, as agents' do."""
_TEXTS = {
    "verbs": "read write open close parse render encode match select relay record evict retry drain probe load",
    "nouns": "worker prefix block chain lease token prompt session index cache stream request response config metric"
    " queue schema buffer cursor branch commit module package fixture timeout budget header payload socket thread",
    "prose": "the a this that which when then because after before every some no is was has will should must can not"
    " and or but with from into over under between again only first last new old same other one two",
}
_VERBS, _NOUNS, _PROSE = (text.split() for text in _TEXTS.values())


class Conversation(NamedTuple):
    """One session: `buffer[:ends[i]] + tail` is the body of turn i."""

    buffer: bytes
    ends: tuple[int, ...]


class Workload(NamedTuple):
    """All that a client sends in one case."""

    conversations: tuple[Conversation, ...]
    tail: bytes

    def bodies(self, conversation: int) -> Iterator[bytes]:
        """The bodies of one conversation, in order."""
        session = self.conversations[conversation]
        return (session.buffer[:end] + self.tail for end in session.ends)


def line(rng: random.Random) -> str:
    """One line of what a tool prints or an agent writes: code, a path, a log line or prose, 40 to 90 characters."""
    verb, noun, other, number = rng.choice(_VERBS), rng.choice(_NOUNS), rng.choice(_NOUNS), rng.randrange(10_000)
    words = rng.choices(_PROSE, k=8) + rng.choices(_NOUNS, k=3) + rng.choices(_VERBS, k=2)
    rng.shuffle(words)
    prose = " ".join(words).capitalize() + "."
    kinds = (
        f"    {noun}_{other} = self._{verb}({noun}, {other}_id={number}, timeout_s={rng.random():.2f})",
        f"src/{noun}/{verb}_{other}.py:{number}: def {verb}_{noun}(self, {other}: bytes) -> None:",
        f"2026-03-14 12:{number % 60:02} INFO {noun} {rng.getrandbits(32):08x} {verb} ok",
        *[prose] * 6,
    )
    return rng.choice(kinds)


class TextSource:
    """Text of a wanted length, drawn from a pool of lines; the pool is large, so that no two messages are alike."""

    def __init__(self, rng: random.Random, pool_lines: int = 20_000) -> None:
        self._rng = rng
        self._pool = [line(rng) for _ in range(pool_lines)]
        self._mean_chars = sum(map(len, self._pool)) // pool_lines + 1

    def text(self, length: int) -> str:
        """About `length` characters, never fewer than 8."""
        count = length // self._mean_chars + 1
        return "\n".join(self._rng.choices(self._pool, k=count))[: max(length, 8)]


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _tools(source: TextSource, count: int) -> list[dict[str, Any]]:
    parameters = {"type": "object", "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}}}
    return [
        {
            "type": "function",
            "function": {"name": f"tool_{index}", "description": source.text(400), "parameters": parameters},
        }
        for index in range(count)
    ]


def tail(stream: bool, tools: list[dict[str, Any]]) -> bytes:
    """What follows the messages in every body."""
    rest: dict[str, Any] = {"model": MODEL, "max_tokens": 512, "temperature": 0.0}
    if tools:
        rest["tools"] = tools
    if stream:
        rest |= {"stream": True, "stream_options": {"include_usage": True}}
    return b"]," + _dump(rest)[1:]


def _exchange(source: TextSource, call: int, size: int) -> bytes:
    """One step of an agent: the assistant's tool call and the tool's result, about `size` bytes together."""
    if size < _SMALLEST_CALL:
        messages: list[dict[str, Any]] = [
            {"role": "assistant", "content": source.text(size // 3)},
            {"role": "user", "content": source.text(size // 3)},
        ]
    else:
        arguments = json.dumps({"path": source.text(40), "limit": call})
        function = {"name": f"tool_{call % 8}", "arguments": arguments}
        calls = [{"id": f"call_{call:06}", "type": "function", "function": function}]
        messages = [
            {"role": "assistant", "content": source.text(size // 6), "tool_calls": calls},
            {"role": "tool", "tool_call_id": f"call_{call:06}", "content": source.text(size * 5 // 6 - 260)},
        ]
    return b"," + b",".join(map(_dump, messages))


def _conversation(source: TextSource, system: bytes, first_size: int, last_size: int, turn: int) -> Conversation:
    pieces = [b'{"messages":[' + system + b"," + _dump({"role": "user", "content": source.text(min(400, turn))})]
    size = len(pieces[0])
    ends: list[int] = []
    while not ends or size <= last_size:
        if size >= first_size:
            ends.append(size)
        missing = first_size - size
        step = turn if missing <= turn else min(missing, 3 * turn)
        pieces.append(_exchange(source, len(pieces), step))
        size += len(pieces[-1])
    return Conversation(b"".join(pieces), tuple(ends))


def first_bytes(size_kb: int) -> int:
    """Size of a session's first body."""
    return size_kb * _KB * 8 // 10


def last_bytes(size_kb: int) -> int:
    """Size that a session's last body does not exceed."""
    return size_kb * _KB * 12 // 10


def turns(size_kb: int) -> int:
    """About how many turns a generated session has."""
    return max(1, (last_bytes(size_kb) - first_bytes(size_kb)) // turn_bytes(size_kb))


def turn_bytes(size_kb: int) -> int:
    """How much a turn adds: 1.5 KB where bodies are large, less where that would leave no conversation."""
    return max(100, min(1536, size_kb * _KB // 40))


def generate(size_kb: int, sessions: int, *, stream: bool, seed: int = 0) -> Workload:
    """Conversations whose bodies grow from 0.8 to 1.2 times `size_kb`; system prompt and tools are common to all."""
    source = TextSource(random.Random(seed))
    end = tail(stream, _tools(source, 8) if size_kb >= _TOOLS_FROM_KB else [])
    system = _dump({"role": "system", "content": source.text(min(size_kb * _KB // 8, 16 * _KB))})
    first, last = first_bytes(size_kb) - len(end), last_bytes(size_kb) - len(end)
    built = (_conversation(source, system, first, last, turn_bytes(size_kb)) for _ in range(sessions))
    return Workload(tuple(built), end)


def recorded(size_kb: int, sessions: int, *, stream: bool, folder: Path) -> Workload:
    """Real agent sessions, cut to the turns whose bodies are of 0.8 to 1.2 times `size_kb`. Where there are fewer than
    asked for, they come again under another system prompt, so that no prefix is shared with the first time."""
    found: list[Conversation] = []
    scripts = list(_scripts(folder))
    for copy in range(sessions):
        for messages in scripts:
            opening = {"role": "system", "content": f"You are coding agent {copy}."}
            conversation = _recorded_conversation([opening, *messages], size_kb)
            if len(conversation.ends) > 1:
                found.append(conversation)
            if len(found) == sessions:
                return Workload(tuple(found), tail(stream, []))
        if not found:
            raise ValueError(f"no recorded session reaches {size_kb} KB")
    return Workload(tuple(found), tail(stream, []))


def _scripts(folder: Path) -> Iterator[list[dict[str, Any]]]:
    with (folder / _RECORDED).open("rb") as packed:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8"):
            yield json.loads(text)["messages"]


def _recorded_conversation(messages: list[dict[str, Any]], size_kb: int) -> Conversation:
    buffer = bytearray(b'{"messages":[')
    ends = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and first_bytes(size_kb) <= len(buffer) <= last_bytes(size_kb):
            ends.append(len(buffer))
        if len(buffer) > last_bytes(size_kb):
            break
        buffer += b"," * bool(index) + _dump(message | {"content": message.get("content") or ""})
    return Conversation(bytes(buffer), tuple(ends))


def recorded_folder() -> Path | None:
    """Where recorded sessions are, when the environment says so."""
    folder = os.environ.get("WARMROUTE_TEST_DATA")
    return Path(folder) if folder else None
