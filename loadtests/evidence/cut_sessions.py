"""Recorded sessions with text, cut to a stretch that a small real engine can hold.

    python -m loadtests.evidence.cut_sessions TRACE OUT --tokenizer MODEL_FOLDER

Of each session the last few requests before its prompts grow longer than the limit, each of which extends the one
before; answers of 64 to 128 tokens, and pauses like those of tool calls: log-normal, median 1 s, at most 4 s. The same
seed gives the same file.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from loadtests.laboratory.traces.files import open_trace
from loadtests.laboratory.traces.mooncake import TOKENS_PER_S
from loadtests.laboratory.traces.requests import TokenizerRuler

LEAST_ANSWER, MOST_ANSWER = 64, 128
PAUSE_SPREAD, MOST_PAUSE_S = 0.5, 4.0
MOST_CHARS_A_TOKEN = 8
"""Longer texts are longer than the limit, whatever the tokenizer."""

Row = Mapping[str, Any]
Measure = Callable[[Mapping[str, Any]], int]
"""Tokens of a body's prompt."""


@dataclass(frozen=True)
class Limits:
    """The limits of a stretch."""

    min_tokens: int = 8_000
    max_tokens: int = 16_000
    min_turns: int = 8
    max_turns: int = 10


def cut(rows: Iterable[Row], measure: Measure, limits: Limits, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Those sessions that have enough turns within the limits, and do not begin as another one does."""
    seen = set()
    for row in rows:
        body = _body(row)
        ends = _stretch(row["requests"], partial(_first, body), measure, limits)
        start = json.dumps(_first(body, ends[0])) if ends else ""
        if len(ends) >= limits.min_turns and start not in seen:
            seen.add(start)
            yield {"id": row["id"], **_first(body, ends[-1]), "requests": _requests(ends, rng)}


def _body(row: Row) -> dict[str, Any]:
    """All of a session's messages. Chat templates refuse a content of null."""
    pool = [{**message, "content": message.get("content") or ""} for message in row["messages"]]
    return {"messages": pool, **({"tools": row["tools"]} if row.get("tools") else {})}


def _first(body: Row, end: int) -> dict[str, Any]:
    return {**body, "messages": body["messages"][:end]}


def _stretch(requests: Iterable[Row], prompt: Callable[[int], Row], measure: Measure, limits: Limits) -> list[int]:
    """The numbers of messages in the stretch's prompts."""
    found = []
    for end in sorted({request["spans"][0][1] for request in requests if _whole(request["spans"])}):
        length = _tokens(prompt(end), measure, limits)
        if length > limits.max_tokens:
            break
        if length >= limits.min_tokens:
            found.append(end)
    return found[-limits.max_turns :]


def _whole(spans: Sequence[Sequence[int]]) -> bool:
    """Does the prompt have all messages from the first one on?"""
    return len(spans) == 1 and spans[0][0] == 0


def _tokens(body: Row, measure: Measure, limits: Limits) -> int:
    if sum(len(json.dumps(message)) for message in body["messages"]) > MOST_CHARS_A_TOKEN * limits.max_tokens:
        return limits.max_tokens + 1
    return measure(body)


def _requests(ends: Sequence[int], rng: random.Random) -> list[dict[str, Any]]:
    found, at_s = [], 0.0
    for end in ends:
        answer = rng.randint(LEAST_ANSWER, MOST_ANSWER)
        found.append({"spans": [[0, end]], "t": at_s, "usage": {"out": answer}})
        at_s += answer / TOKENS_PER_S + min(MOST_PAUSE_S, rng.lognormvariate(0.0, PAUSE_SPREAD))
    return found


def main(args: Sequence[str] | None = None) -> None:
    """Write the first sessions that fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--min-tokens", type=int, default=Limits.min_tokens)
    parser.add_argument("--max-tokens", type=int, default=Limits.max_tokens)
    parser.add_argument("--sessions", type=int, default=14)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first sessions that fit")
    parser.add_argument("--seed", type=int, default=14)
    options = parser.parse_args(args)
    ruler = TokenizerRuler(options.tokenizer)
    rows = open_trace(options.trace).rows
    limits = Limits(options.min_tokens, options.max_tokens)
    found = cut(rows, lambda body: ruler.measure(body).tokens, limits, random.Random(options.seed))
    with options.out.open("w", encoding="utf-8") as out:
        for row in islice(found, options.skip, options.skip + options.sessions):
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
