"""Azure's traces (AzurePublicDataset): when requests came and how long they were. Nothing is known of prefixes, so no
two requests share any: a trace for arrivals and length mix only."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime

import numpy as np

from loadtests.laboratory.traces.mooncake import TOKENS_PER_S
from loadtests.laboratory.traces.script import BLOCK_TOKENS, MOST_BLOCKS, Script, Turn, linked, numbers


def read(lines: Iterable[str]) -> Iterator[Script]:
    """One script of one turn per row. Raises KeyError where a column is missing."""
    start: datetime | None = None
    for number, row in enumerate(csv.DictReader(lines)):
        at = datetime.fromisoformat(row["TIMESTAMP"][:26])
        start = start or at
        tokens, answer = max(1, int(row["ContextTokens"])), max(1, int(row["GeneratedTokens"]))
        if tokens > MOST_BLOCKS * BLOCK_TOKENS:
            raise ValueError(f"a prompt of {tokens:,} tokens")
        chain = linked(numbers(np.arange(tokens // BLOCK_TOKENS, dtype=np.uint64), f"azure {number}"), 0)
        turn = Turn(0, chain, tokens, answer, 0.0, answer / TOKENS_PER_S)
        yield Script(str(number), [turn], 0, (at - start).total_seconds())
