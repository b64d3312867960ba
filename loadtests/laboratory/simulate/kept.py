"""The results of a sweep, in a file of JSON lines that only grows: an interrupted sweep continues where it stopped.

One line holds one run, so that arms and seeds can be added later under the same knees, in pairs with what is there.
What must not be broken: runs of one file are comparable. The first line says under which settings they were made, and a
sweep with others is refused.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.laboratory.simulate.outcomes import Summary


class Facts(NamedTuple):
    """What is true of all runs of a cell."""

    name: str
    load: float
    """Share of the knee; 0 for a trap."""
    rate: float
    """Requests per second."""
    ratio: float
    """Working set over KV memory, as it came out."""


class RunKey(NamedTuple):
    """Which run of a cell."""

    cell: str
    load: float
    arm: str
    seed: int


class Kept:
    """The results in one file. Every run is written as soon as it has ended."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Raises ValueError if the file was begun under other settings, or is none of a sweep."""
        self._path = path
        self.knees: dict[str, float] = {}
        """Requests per second, by name."""
        self.facts: dict[tuple[str, float], Facts] = {}
        self.runs: dict[RunKey, Summary] = {}
        lines = self._lines()
        first = next(lines, None)
        if first is None:
            self._append({"settings": settings})
        elif first.get("settings") != json.loads(json.dumps(settings)):
            raise ValueError(f"{path} was begun with other settings ({first.get('settings')}): take another file")
        for line in lines:
            self._read(line)

    def knee(self, name: str, requests_per_s: float) -> None:
        """A knee was found."""
        self.knees[name] = requests_per_s
        self._append({"knee": name, "rate": requests_per_s})

    def run(self, facts: Facts, arm: str, seed: int, summary: Summary) -> None:
        """A run has ended."""
        self._take(facts, arm, seed, summary)
        self._append({"facts": facts, "arm": arm, "seed": seed, "run": dataclasses.asdict(summary)})

    def forget(self, arm: str) -> None:
        """The arm has changed: its runs no longer count."""
        self.runs = {key: run for key, run in self.runs.items() if key.arm != arm}
        self._append({"forget": arm})

    def _read(self, line: Mapping[str, Any]) -> None:
        if "knee" in line:
            self.knees[line["knee"]] = line["rate"]
        elif "forget" in line:
            self.runs = {key: run for key, run in self.runs.items() if key.arm != line["forget"]}
        else:
            run = line["run"] | {"ttft_curve": tuple(line["run"]["ttft_curve"])}
            self._take(Facts(*line["facts"]), line["arm"], line["seed"], Summary(**run))

    def _take(self, facts: Facts, arm: str, seed: int, summary: Summary) -> None:
        self.facts[facts.name, facts.load] = facts
        self.runs[RunKey(facts.name, facts.load, arm, seed)] = summary

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{self._path}, line {number}: {error}") from None

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
