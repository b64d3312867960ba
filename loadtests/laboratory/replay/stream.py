"""A chat answer's stream, as far as a load test looks at it.

Only the events up to the first token and the last few are parsed, so that watching costs next to nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from loadtests.laboratory.replay.record import Decision, Usage

TAIL_BYTES = 8192
"""Of a stream's end: where usage, `[DONE]` and errors are."""
_SPOKEN = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")


class Stream:
    """A stream of server-sent events, of which the first token and the end are looked for."""

    def __init__(self) -> None:
        self.tail = b""
        self._begun = False

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes. True once: when they complete the event that has the first token."""
        self.tail += chunk
        if self._begun:
            self.tail = self.tail[-TAIL_BYTES:]
            return False
        whole = self.tail.replace(b"\r\n", b"\n").rpartition(b"\n\n")[0]
        self._begun = any(_speaks(event) for event in _events(whole))
        return self._begun

    def usage(self) -> Usage:
        """The last usage that the stream reported."""
        for event in reversed(_events(self.tail)):
            used = _decoded(event).get("usage")
            if isinstance(used, dict):
                details = used.get("prompt_tokens_details")
                cached = details.get("cached_tokens") if isinstance(details, dict) else None
                return Usage(*(_count(n) for n in (used.get("prompt_tokens"), cached, used.get("completion_tokens"))))
        return Usage()

    def error(self) -> tuple[str, str]:
        """Kind and detail of what went wrong with a stream that has ended; empty when nothing did."""
        for event in _events(self.tail):
            error = _decoded(event).get("error")
            if error:
                return "error event", str(error.get("message", error) if isinstance(error, dict) else error)
        if b"data: [DONE]" in self.tail or b"data:[DONE]" in self.tail:
            return ("", "") if self._begun else ("empty answer", "")
        return "cut off", "the stream ended without [DONE]"

    def said(self) -> str:
        """An error's message, as OpenAI's API has it, or the text itself."""
        said = _decoded(self.tail).get("error")
        if isinstance(said, dict):
            said = said.get("message")
        return str(said or self.tail.decode("utf-8", "replace")).strip()


def _events(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]


def _decoded(event: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(event)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _speaks(event: bytes) -> bool:
    """Has it a token? Of any kind: reasoning and tool calls count."""
    choices = _decoded(event).get("choices") or [{}]
    choice = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    return bool(choice.get("text")) or (isinstance(delta, dict) and any(delta.get(name) for name in _SPOKEN))


def _count(value: object) -> int:
    return value if isinstance(value, int) else -1


def decision_of(headers: Mapping[str, str]) -> Decision:
    """What the router says in its headers, if it does."""
    cached = headers.get("x-warmroute-cached-tokens", "")
    return Decision(
        headers.get("x-warmroute-worker", ""),
        headers.get("x-warmroute-reason", ""),
        int(cached) if cached.isdecimal() else -1,
    )
