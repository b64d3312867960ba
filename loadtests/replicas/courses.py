"""Stretches of recorded sessions, as the bodies that an agent would send: long, and each with all of the one before."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadtests.traces.files import lines

MIN_BYTES = 60_000
MAX_BYTES = 260_000
"""Of a body. Shorter ones are no agents at work; longer ones do not fit the emulated model's context."""
MAX_ANSWER_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Course:
    """Bodies of one session, in order."""

    session: str
    bodies: Sequence[bytes]


def read(files: Sequence[Path], model: str, count: int, turns: int) -> list[Course]:
    """`count` courses of `turns` requests each, from different sessions, the same at every call. Raises ValueError
    when the files have not so many."""
    rows = [msgspec.json.decode(line) for file in files for line in lines(file)]
    random.Random(1).shuffle(rows)
    found: list[Course] = []
    for row in rows:
        course = _course(row, model, turns)
        if course is not None:
            found.append(course)
            if len(found) == count:
                return found
    raise ValueError(f"only {len(found)} sessions have {turns} requests of {MIN_BYTES} to {MAX_BYTES} bytes in a row")


def _course(row: dict[str, Any], model: str, turns: int) -> Course | None:
    """The first stretch of requests that each continue the one before and have a fitting size."""
    bodies: list[bytes] = []
    before: list[list[int]] = []
    for request in row["requests"]:
        spans = request["spans"]
        continues = spans[:-1] == before[:-1] and bool(before) and spans[-1][0] == before[-1][0]
        before = spans
        if bodies and not continues:
            bodies = []
        body = _body(row, request, model)
        if not MIN_BYTES <= len(body) <= MAX_BYTES:
            bodies = []
            continue
        bodies.append(body)
        if len(bodies) == turns:
            return Course(str(row["id"]), bodies)
    return None


def _body(row: dict[str, Any], request: dict[str, Any], model: str) -> bytes:
    out = int((request.get("usage") or {}).get("out") or MAX_ANSWER_TOKENS)
    body: dict[str, Any] = {"model": model, "messages": list(_messages(row, request["spans"]))}
    if row.get("tools"):
        body["tools"] = row["tools"]
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    body |= {"max_tokens": max(1, min(out, MAX_ANSWER_TOKENS))}
    return msgspec.json.encode(body)


def _messages(row: dict[str, Any], spans: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Chat templates refuse a content of null."""
    for start, end in spans:
        for message in row["messages"][start:end]:
            yield {**message, "content": message.get("content") or ""}
