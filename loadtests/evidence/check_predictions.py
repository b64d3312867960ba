"""How right predictions were, from a router's access log.

    python -m loadtests.evidence.check_predictions ACCESS_LOG --block 128

A prediction is right when it is within one KV block of what the engine reported for that request.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Answered(NamedTuple):
    """One request whose engine reported cached tokens."""

    prompt: int
    predicted: int
    cached: int


class Predictions(NamedTuple):
    """A run in numbers; shares are of all prompt tokens."""

    requests: int
    cached: float
    predicted: float
    within_block: float
    over: float
    error: float
    """Mean absolute difference."""


def answered(lines: Iterable[str]) -> list[Answered]:
    """The lines of the log that tell both numbers."""
    rows = (json.loads(line) for line in lines if line.startswith("{"))
    return [
        Answered(row["prompt_tokens"], row.get("predicted_cached_tokens", 0), row["cached_tokens"])
        for row in rows
        if row.get("cached_tokens") is not None and row.get("prompt_tokens")
    ]


def measured(rows: list[Answered], block: int) -> Predictions:
    """How right the predictions of `rows` were; there is at least one."""
    prompt = sum(row.prompt for row in rows)
    return Predictions(
        requests=len(rows),
        cached=sum(row.cached for row in rows) / prompt,
        predicted=sum(row.predicted for row in rows) / prompt,
        within_block=sum(abs(row.predicted - row.cached) <= block for row in rows) / len(rows),
        over=sum(max(0, row.predicted - row.cached) for row in rows) / prompt,
        error=sum(abs(row.predicted - row.cached) for row in rows) / prompt,
    )


def main() -> None:
    """Print one row of a table for each log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--block", type=int, default=128)
    options = parser.parse_args()
    print("| log | requests | cached | predicted | within one block | over-predicted | mean error |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for log in options.logs:
        rows = answered(log.read_text().splitlines())
        if not rows:
            print(f"| {log.stem} | 0 | | | | | |")
            continue
        found = measured(rows, options.block)
        shares = " | ".join(f"{share:.1%}" for share in found[1:])
        print(f"| {log.stem} | {found.requests} | {shares} |")


if __name__ == "__main__":
    main()
