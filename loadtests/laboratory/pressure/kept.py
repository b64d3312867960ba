"""Runs that were played, in a file of JSON lines: an interrupted command goes on where it was, arms and seeds that are
added later are compared in pairs with what is there. A file is of one commit: nothing in it says so."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loadtests.laboratory.pressure.figures import Figures


class RunKey(NamedTuple):
    """One run."""

    cell: str
    """All that makes the cell what it is, in words."""
    bound_s: float
    seed: int


class Kept:
    """Without a path, of this command alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.runs: dict[RunKey, Figures] = dict(_read(path)) if path is not None and path.exists() else {}

    def add(self, key: RunKey, figures: Figures) -> None:
        """A run has ended."""
        self.runs[key] = figures
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"run": key, "figures": dataclasses.asdict(figures)}) + "\n")


def _read(path: Path) -> Iterator[tuple[RunKey, Figures]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found = json.loads(line)
            yield RunKey(*found["run"]), Figures(**found["figures"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
