"""Trace files that routers have written (the setting `trace_file`): what passed, as hashes.

Files of one router, or of routers that share a secret, are read together: a conversation may go on from file to file.
Files are from outside: what does not fit raises msgspec.ValidationError.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from loadtests.engine.chains import Words
from loadtests.laboratory.traces.requests import marked
from loadtests.laboratory.traces.script import BLOCK_TOKENS, GOLDEN, Script, Turn, delta
from router.engines.metrics import MAX_BLOCK_TOKENS, MAX_KV_TOKENS
from router.prefix.index import HASH_BYTES
from router.trace_file.conversations import TracedConversations
from router.trace_file.lines import VERSION, TracedWorker, TraceHead, TraceLine

MOST_TOKENS = 100_000_000
"""Of a prompt or an answer."""
MOST_WORKERS = 16_384
Row = Mapping[str, Any]


class Answered(NamedTuple):
    """What was measured of one request. None for what the engine did not report."""

    prompt_tokens: int
    cached_tokens: int | None
    ttft_s: float


class RecordedTraffic(NamedTuple):
    """All that some files tell."""

    scripts: list[Script]
    answered: list[Answered]
    workers: list[TracedWorker]
    """As the youngest file's head has them."""


class TracedRequest(NamedTuple):
    """One line, with its whole chain."""

    ended: float
    """Seconds since 1970."""
    head: TraceHead
    line: TraceLine
    chain: bytes


def read(rows: Iterator[Row]) -> Iterator[Script]:
    """A script for each conversation of one file."""
    yield from together([requests_of(rows)]).scripts


def requests_of(rows: Iterator[Row]) -> Iterator[TracedRequest]:
    """One file's, in order of their ends. Raises msgspec.ValidationError."""
    head = msgspec.convert(next(rows), TraceHead)
    if head.warmroute_trace != VERSION:
        raise msgspec.ValidationError(f"a trace file of version {head.warmroute_trace}, not {VERSION}")
    workers = head.workers
    if len(workers) > MOST_WORKERS or not all(0 <= one.kv_tokens <= MAX_KV_TOKENS for one in workers):
        raise msgspec.ValidationError("the workers are out of range")
    chains: dict[int, bytes] = {}
    for row in rows:
        line = msgspec.convert(row, TraceLine)
        before = chains.get(line.conversation, b"")
        _check(line, len(before) // HASH_BYTES)
        chain = chains[line.conversation] = before[: line.keep * HASH_BYTES] + line.blocks
        yield TracedRequest(head.began + line.at + line.took_s, head, line, chain)


def together(files: Sequence[Iterator[TracedRequest]]) -> RecordedTraffic:
    """What these files tell."""
    known, answered = TracedConversations(), list[Answered]()
    scripts: dict[int, _Growing] = {}
    youngest: TraceHead | None = None
    for ended, head, line, chain in heapq.merge(*files, key=lambda one: one.ended):
        came = ended - line.took_s
        number, _ = known.next(chain, came, ended)
        scripts.setdefault(number, _Growing(came)).add(line, chain, came, ended)
        answered.append(Answered(line.prompt_tokens, line.cached_tokens, line.ttft_s))
        youngest = head if youngest is None or head.began > youngest.began else youngest
    first = min((script.came for script in scripts.values()), default=0.0)
    made = [Script(f"conversation {n}", one.turns, 0, one.came - first) for n, one in scripts.items()]
    return RecordedTraffic(list(marked(made)), answered, list(youngest.workers) if youngest is not None else [])


class _Growing:
    """One conversation, as far as it was read."""

    def __init__(self, came: float) -> None:
        self.came = came
        self.turns: list[Turn] = []
        self._blocks: Words = np.empty(0, dtype=np.uint64)
        self._ended = came

    def add(self, line: TraceLine, chain: bytes, came: float, ended: float) -> None:
        """Its next turn."""
        blocks = in_usual_blocks(chain, line.block_tokens, line.prompt_tokens // BLOCK_TOKENS)
        keep, new = delta(self._blocks, blocks)
        think_s = max(0.0, came - self._ended) if self.turns else 0.0
        prompt, answer = max(1, line.prompt_tokens), max(1, line.answer_tokens or 1)
        self.turns.append(Turn(keep, new, prompt, answer, think_s, line.took_s, line.calls_tool))
        self._blocks, self._ended = blocks, ended


def in_usual_blocks(chain: bytes, block_tokens: int, most: int = MOST_TOKENS) -> Words:
    """The chain in the laboratory's blocks, `most` at most: each is known by the block in which it ends."""
    hashes = np.frombuffer(chain, dtype=np.uint64)
    if block_tokens == BLOCK_TOKENS:
        return hashes[:most]
    places = np.arange(min(most, len(hashes) * block_tokens // BLOCK_TOKENS), dtype=np.uint64)
    ends = ((places + np.uint64(1)) * np.uint64(BLOCK_TOKENS) - np.uint64(1)) // np.uint64(block_tokens)
    return np.asarray(hashes[ends] ^ (places * GOLDEN), dtype=np.uint64)


def _check(line: TraceLine, most_kept: int) -> None:
    if not 0 <= line.keep <= most_kept:
        raise msgspec.ValidationError(f"keep is {line.keep}, and the line before has {most_kept} blocks")
    if len(line.blocks) % HASH_BYTES:
        raise msgspec.ValidationError("blocks are not of 8 bytes each")
    if not BLOCK_TOKENS <= line.block_tokens <= MAX_BLOCK_TOKENS:
        raise msgspec.ValidationError(f"block_tokens is {line.block_tokens}")
    for name in ("prompt_tokens", "cached_tokens", "answer_tokens"):
        if not 0 <= (getattr(line, name) or 0) <= MOST_TOKENS:
            raise msgspec.ValidationError(f"{name} is {getattr(line, name)}")
    if not 0 <= line.took_s < 1e9 or not 0 <= line.ttft_s < 1e9 or not abs(line.at) < 1e10:
        raise msgspec.ValidationError("a time is out of range")
