"""vLLM's own log: what it writes of each request with `--enable-log-requests` and the level DEBUG, and of answers with
`--enable-log-outputs`.

Token ids are in it, so that prompts are known exactly. Lines hold text that clients wrote, so each is read from its
end, where vLLM's own words are. The log has no year: the first line is of this one.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec
import numpy as np

from loadtests.laboratory.traces.mooncake import TOKENS_PER_S
from loadtests.laboratory.traces.passed import TracedRequest, together
from loadtests.laboratory.traces.requests import DEFAULT_ANSWER_TOKENS
from loadtests.laboratory.traces.script import Script, chain_of_ids
from router.trace_file.lines import TraceHead, TraceLine

BEGIN: Final = re.compile(
    r"(?:\([^()]{1,80}\) )?(?:DEBUG|INFO|WARNING|ERROR) (\d\d-\d\d \d\d:\d\d:\d\d) \[[^\]]{1,200}\] "
)
"""Of a line. It is matched at the start alone."""
ASKED: Final = re.compile(r"Request (\S{1,200}) details: prompt: ")
ANSWERED: Final = re.compile(r"Generated response (\S{1,200})(?: \(streaming complete\))? details: ")
IDS: Final = "prompt_token_ids: "
ANSWER_IDS: Final = "output_token_ids: "
MOST_PENDING: Final = 20_000
"""Requests whose answers have not been read. Beyond, the oldest counts as answered by now."""
HEAD: Final = TraceHead(1, 0.0, [])


class Pending(msgspec.Struct):
    """A request that has been read."""

    at: float
    line: TraceLine
    chain: bytes


def is_one(line: str) -> bool:
    """A line of such a log."""
    return BEGIN.match(line) is not None


def read(lines: Iterator[str]) -> Iterator[Script]:
    """A script for each conversation."""
    yield from together([requests_of(lines)]).scripts


def requests_of(lines: Iterator[str]) -> Iterator[TracedRequest]:
    """In order of their ends. Raises msgspec.ValidationError where there is none."""
    pending: dict[str, Pending] = {}
    clock, found = _Clock(datetime.now().year), False
    for line in lines:
        begin = BEGIN.match(line)
        if begin is None:
            continue
        at = clock.seconds(begin[1])
        if (asked := ASKED.match(line, begin.end())) is not None:
            if (ids := _ids(line, IDS, ", prompt_embeds shape: ")) is not None:
                found = True
                traced = TraceLine(at=at, conversation=0, prompt_tokens=len(ids), ttft_s=0.0, took_s=0.0)
                pending[asked[1]] = Pending(at, traced, chain_of_ids(ids, 0).tobytes())
        elif (answer := ANSWERED.match(line, begin.end())) is not None and answer[1] in pending:
            ids = _ids(line, ANSWER_IDS, "")
            if ids is not None:
                yield _ended(pending.pop(answer[1]), at, len(ids))
        if len(pending) > MOST_PENDING:
            yield _ended(pending.pop(next(iter(pending))), at, None)
    if not found:
        raise msgspec.ValidationError("no request with its ids: needs --enable-log-requests and the level DEBUG")
    for one in pending.values():
        yield _ended(one, max(clock.now, one.at), None)


def _ended(one: Pending, at: float, answer_tokens: int | None) -> TracedRequest:
    tokens = answer_tokens or DEFAULT_ANSWER_TOKENS
    took = at - one.at if answer_tokens is not None else min(at - one.at, tokens / TOKENS_PER_S)
    line = msgspec.structs.replace(one.line, took_s=took, answer_tokens=tokens)
    return TracedRequest(one.at + took, HEAD, line, one.chain)


def _ids(line: str, before: str, after: str) -> "np.ndarray[tuple[int], np.dtype[np.uint32]] | None":
    """The last list of ids of a line, where nothing but `after` and a word follow it."""
    _, there, told = line.rstrip().rpartition(before)
    text, closed, rest = told.partition("]")
    if not there or not text.startswith("[") or not closed or not rest.startswith(after):
        return None
    try:
        return np.array([int(word) for word in text[1:].split(",") if word.strip()], dtype=np.uint32)
    except (ValueError, OverflowError):
        return None


class _Clock:
    """Seconds since 1970 of times without a year, each at or after the one before it."""

    def __init__(self, year: int) -> None:
        self._year = year
        self._last = ""
        self.now = 0.0

    def seconds(self, text: str) -> float:
        """`11-30 09:46:28`. Raises msgspec.ValidationError for what is no time."""
        if text != self._last:
            self._year += text[:2] == "01" and self._last[:2] == "12"
            try:
                read = datetime.strptime(f"{self._year}-{text}", "%Y-%m-%d %H:%M:%S").timestamp()
            except ValueError:
                raise msgspec.ValidationError(f"no time: {text}") from None
            self._last, self.now = text, max(self.now, read)
        return self.now
