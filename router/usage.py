"""What an engine says a request really cost, read out of its answer's bytes without parsing the answer.

`usage` stands near the end of a JSON answer and in the last events of a stream (Anthropic's prompt part in the
first), so a little of both ends is kept by reference and searched once, after the last byte.
"""

import re
from collections import deque
from typing import Any, NamedTuple

import msgspec

KEPT_BYTES = 8192
MAX_USAGE_BYTES = 2048
_BRACE = re.compile(rb"[{}]")
_VALUE = re.compile(rb'"usage"\s*:\s*\{')


class Usage(NamedTuple):
    """Token counts as the engine reported them; None where it said nothing."""

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None


class AnswerEnds:
    """The first and the last few kilobytes of an answer, by reference: no byte is copied while relaying."""

    __slots__ = ("_head", "_head_bytes", "_tail", "_tail_bytes")

    def __init__(self) -> None:
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Note one relayed chunk."""
        size = len(chunk)
        if self._head_bytes < KEPT_BYTES:
            self._head.append(chunk)
            self._head_bytes += size
            return
        tail = self._tail
        tail.append(chunk)
        self._tail_bytes += size
        while self._tail_bytes - len(tail[0]) >= KEPT_BYTES:
            self._tail_bytes -= len(tail.popleft())

    @property
    def head(self) -> bytes:
        """The answer's beginning."""
        return b"".join(self._head)[:KEPT_BYTES]

    def last(self, count: int) -> bytes:
        """The last few bytes relayed."""
        return b"".join((*self._head[-2:], *self._tail))[-count:]

    def usage(self) -> Usage | None:
        """The last `usage` object that says anything; None when there is none."""
        head = b"".join(self._head)
        last = _last_usage(b"".join((head[-KEPT_BYTES:], *self._tail)))
        if last is None or last.prompt_tokens is None or last.cached_tokens is None:
            first = _last_usage(head[:KEPT_BYTES])
            if first is not None and last is not None:
                return Usage(*(a if a is not None else b for a, b in zip(last, first, strict=True)))
            return last or first
        return last


def _last_usage(data: bytes) -> Usage | None:
    end = len(data)
    while (at := data.rfind(b'"usage"', 0, end)) >= 0:
        value = _VALUE.match(data, at)
        if value is not None and (found := _object(data, value.end() - 1)) is not None:
            return _read(found)
        end = at
    return None


def _object(data: bytes, start: int) -> dict[str, Any] | None:
    """The JSON object that begins at `start`; None when it is cut off or broken. Usage objects hold no strings with
    braces, so counting braces finds the end."""
    depth = 0
    for brace in _BRACE.finditer(data, start, start + MAX_USAGE_BYTES):
        depth += 1 if brace[0] == b"{" else -1
        if not depth:
            try:
                found = msgspec.json.decode(data[start : brace.end()])
            except (msgspec.DecodeError, UnicodeDecodeError):
                return None
            return found if isinstance(found, dict) else None
    return None


def _read(found: dict[str, Any]) -> Usage:
    prompt = _count(found, "prompt_tokens", "input_tokens")
    completion = _count(found, "completion_tokens", "output_tokens")
    details = found.get("prompt_tokens_details") or found.get("input_tokens_details")
    if isinstance(details, dict):
        return Usage(prompt, _count(details, "cached_tokens") or 0, completion)
    cached = _count(found, "cache_read_input_tokens")
    if cached is not None and prompt is not None:  # Anthropic counts cached tokens apart from input_tokens
        prompt += cached + (_count(found, "cache_creation_input_tokens") or 0)
    return Usage(prompt, cached, completion)


def _count(found: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
