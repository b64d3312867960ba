"""Mooncake's traces (FAST '25): single requests with their time, and prefix ids of 512 tokens, common to all."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script, Turn, linked, numbers

ID_TOKENS = 512
_PER_ID = ID_TOKENS // BLOCK_TOKENS
TOKENS_PER_S = 30.0
"""Speed of answers, to estimate their time: the trace holds none."""


def read(rows: Iterator[Mapping[str, Any]]) -> Iterator[Script]:
    """One script of one turn per request. The last id of a prompt covers what is left of it, in whole blocks of 64."""
    for number, row in enumerate(rows):
        tokens = row["input_length"]
        ids = np.asarray(row["hash_ids"], dtype=np.uint64)
        inner = np.tile(np.arange(_PER_ID, dtype=np.uint64), len(ids))
        blocks = np.repeat(ids * np.uint64(_PER_ID), _PER_ID) + inner
        chain = linked(numbers(blocks[: tokens // BLOCK_TOKENS], "mooncake"), 0)
        answer = max(1, row["output_length"])
        turn = Turn(0, chain, tokens, answer, 0.0, answer / TOKENS_PER_S)
        yield Script(str(number), [turn], len(chain), row["timestamp"] / 1000)
