"""The token counts that an engine reports for a request, read from the answer's bytes without parsing the answer.

`usage` stands near the end of a JSON answer and in the last events of a stream (Anthropic's prompt part in the first),
so a few kilobytes of both ends are kept by reference and searched once, after the last byte. The worker's text is
hostile input: it becomes counts within bounds, or None, at a bounded cost.
"""

import re
from collections import deque
from typing import Any, NamedTuple

import msgspec

KEPT_BYTES = 8192
MAX_USAGE_BYTES = 2048
MAX_TRIED = 16
"""At most this many objects are read in search of the last one: an answer may consist of nothing else."""
MAX_TOKENS = 1 << 27
"""No request has more tokens: a larger count is ignored."""
MAX_UNSEEN_TOKENS = 1 << 20
"""A client pays for at most one token per byte and this many more: for media by URL, and for what the worker stores."""
_BRACE = re.compile(rb"[{}]")
_TOOL_CALL = re.compile(
    rb'_(?:calls(?<="tool_calls)|use(?<="tool_use)'
    rb'|call(?:(?<="function_call)|(?<="custom_tool_call)|(?<="local_shell_call)))"[,}]'
)
"""A finish or stop reason, or the type of an output item: `"tool_calls"`, `"tool_use"`, `"function_call"` and so on. It
begins with its rarest character, to which the search leaps, and goes on with letters, which rule out most places."""
_VALUE = re.compile(rb'"usage"\s*:\s*\{')


class Usage(NamedTuple):
    """Token counts as the engine reported them; None where it did not."""

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None

    def paid_for(self, body_bytes: int) -> int | None:
        """The prompt's tokens, limited to what a body of this size can hold: a client never pays for an invented
        count."""
        if self.prompt_tokens is None:
            return None
        return min(self.prompt_tokens, body_bytes + MAX_UNSEEN_TOKENS)


class AnswerEnds:
    """The first and the last few kilobytes of an answer, by reference. Relaying copies no bytes, except the ends of a
    large chunk, which would otherwise be kept whole for as long as the answer takes."""

    __slots__ = ("_head", "_head_bytes", "_tail", "_tail_bytes")

    def __init__(self) -> None:
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Note one relayed chunk."""
        size = len(chunk)
        if size > 2 * KEPT_BYTES:
            self.add(chunk[:KEPT_BYTES])
            chunk, size = chunk[-KEPT_BYTES:], KEPT_BYTES
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

    def calls_tool(self) -> bool:
        """Does the answer end with a tool call, as its own fields say? In its text the quotes would be escaped."""
        return _TOOL_CALL.search(self._end()) is not None

    def _end(self) -> bytes:
        """The answer's last part."""
        pieces = self._tail if self._tail_bytes >= KEPT_BYTES else (*self._head, *self._tail)
        return b"".join(pieces)[-KEPT_BYTES:]

    def usage(self) -> Usage | None:
        """The last `usage` object that says anything; None when there is none."""
        last = _last_usage(self._end())
        if last is None or last.prompt_tokens is None or last.cached_tokens is None:
            first = _last_usage(self.head)
            if first is not None and last is not None:
                return Usage(*(a if a is not None else b for a, b in zip(last, first, strict=True)))
            return last or first
        return last


def _last_usage(data: bytes) -> Usage | None:
    end, tried = len(data), 0
    while tried < MAX_TRIED and (at := data.rfind(b'"usage"', 0, end)) >= 0:
        value = _VALUE.match(data, at)
        if value is not None:
            tried += 1
            if (found := _object(data, value.end() - 1)) is not None:
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
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            return found if isinstance(found, dict) else None
    return None


def _read(found: dict[str, Any]) -> Usage:
    prompt = _count(found, "prompt_tokens", "input_tokens")
    completion = _count(found, "completion_tokens", "output_tokens")
    details = found.get("prompt_tokens_details") or found.get("input_tokens_details")
    if isinstance(details, dict):
        cached = 0 if details.get("cached_tokens") is None else _count(details, "cached_tokens")
    else:
        cached = _count(found, "cache_read_input_tokens")
        if cached is not None and prompt is not None:  # Anthropic counts cached tokens apart from input_tokens
            prompt += cached + (_count(found, "cache_creation_input_tokens") or 0)
    if cached is not None and prompt is not None and cached > prompt:
        cached = None  # more cached tokens than the prompt has
    return Usage(prompt, cached, completion)


def _count(found: dict[str, Any], *names: str) -> int | None:
    """The first of these fields that is a count of tokens."""
    for name in names:
        value = found.get(name)
        if type(value) is int and 0 <= value <= MAX_TOKENS:  # no bool
            return value
    return None
