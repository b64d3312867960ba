"""Claude Code sessions recorded as block ids (github.com/callanjfox/kv-cache-tester), delta-coded, one per line.

Ids mean nothing outside their session. The system prompt and the tools, which real sessions have in common, are
therefore modelled: sessions with equally long tools share these, and with an equally long system prompt as well.
Subagents (1.4 % of the requests) are left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from loadtests.engine.chains import Words
from loadtests.laboratory.traces.script import BLOCK_TOKENS, MOST_BLOCKS, Script, Turn, delta, linked, numbers


def read(rows: Iterator[Mapping[str, Any]]) -> Iterator[Script]:
    """Scripts of the sessions. Raises KeyError where a row is of another format."""
    for row in rows:
        yield _script(row)


def _script(row: Mapping[str, Any]) -> Script:
    tools, system = row["tool_tokens"] or 0, row["system_tokens"] or 0
    turns: list[Turn] = []
    ids: list[int] = []
    before = np.empty(0, dtype=np.uint64)
    for request in row["requests"]:
        ids = ids[: request["keep"]]
        for first, count in request["new"]:
            if len(ids) + count > MOST_BLOCKS:
                raise ValueError(f"a prompt of {len(ids) + count:,} blocks")
            ids.extend(range(first, first + count))
        chain = linked(_blocks(ids, row["id"], tools, system), 0)
        keep, new = delta(before, chain)
        before = chain
        turns.append(
            Turn(
                keep,
                new,
                request["in"],
                max(1, request["out"]),
                (request["think"] or 0.0) if turns else 0.0,
                request["api"] or 0.0,
            )
        )
    return Script(row["id"], turns, (tools + system) // BLOCK_TOKENS)


def _blocks(ids: list[int], session: str, tools: int, system: int) -> Words:
    shared = min(len(ids), (tools + system) // BLOCK_TOKENS)
    in_tools = min(shared, tools // BLOCK_TOKENS)
    return np.concatenate(
        (
            numbers(range(in_tools), f"tools {tools}"),
            numbers(range(in_tools, shared), f"system {tools} {system}"),
            numbers(ids[shared:], session),
        )
    )
