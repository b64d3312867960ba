"""What a cell came to, and the file that keeps them, so that a benchmark can be run in pieces."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from loadtests.evidence.rivals.loop import SLO, Loop
from loadtests.evidence.rivals.stage import Played
from loadtests.laboratory.replay.engines import Sight
from loadtests.laboratory.replay.summary import Times, summary

SKIP_TURNS = 2
"""Of each session: no worker can have cached its first prompt, and what the second finds is the first one's doing."""


class Cell(msgspec.Struct, frozen=True):
    """One arm in one scenario. Shares are 0..1, times seconds."""

    scenario: str
    arm: str
    requests: int
    errors: Mapping[str, int]
    hit: float
    """Of the counted answers, as the engines reported with each."""
    engines_hit: float
    """Of all that the engines computed meanwhile, by their own counters: first turns, and what was sent twice, too."""
    first_p50: float
    """Times to first token of the first turns, which count nowhere else: no worker has their prefix, but some routers
    let them wait for long."""
    first_p90: float
    ttft_p50: float
    ttft_p90: float
    ttft_p99: float
    whole_p50: float
    whole_p99: float
    good: float
    engines_ttft: float
    """Mean of all requests, first turns too, from their arrival at an engine: what is more is the way there."""
    router_cores: float
    cores: float
    machine: str
    loop: Loop | None = None
    """The loop of a scenario with tools, in which all turns count."""

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def error_share(self) -> float:
        return self.failed / self.requests if self.requests else 0.0


def cell(scenario: str, arm: str, played: Played) -> Cell:
    """The cell's figures, over the requests after each session's first two."""
    counted = [record for record in played.records if record.turn >= SKIP_TURNS]
    found = summary(counted, SLO)
    first = Times.of(record.ttft_s for record in played.records if record.turn < SKIP_TURNS and not record.error)
    engines = Sight()
    for sight in played.engines.values():
        engines = engines.plus(sight)
    return Cell(
        scenario=scenario,
        arm=arm,
        requests=found.requests,
        errors=found.errors,
        hit=found.hit_rate,
        engines_hit=engines.hit_rate,
        first_p50=first.p50,
        first_p90=first.p90,
        ttft_p50=found.ttft.p50,
        ttft_p90=found.ttft.p90,
        ttft_p99=found.ttft.p99,
        whole_p50=found.whole.p50,
        whole_p99=found.whole.p99,
        good=found.good,
        engines_ttft=engines.ttft_s,
        router_cores=played.router_cores,
        cores=played.cores,
        machine=played.machine,
        loop=played.loop,
    )


class Kept:
    """Cells in a file, one a line; the last one of an arm in a scenario counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[tuple[str, str], Cell] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(msgspec.convert(json.loads(line), Cell))  # msgspec's own JSON knows no NaN

    def has(self, scenario: str, arm: str) -> bool:
        return (scenario, arm) in self._cells

    def add(self, found: Cell) -> None:
        """Keep it, at once."""
        self._take(found)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(msgspec.to_builtins(found)) + "\n")

    def of(self, scenario: str, arms: Sequence[str]) -> list[Cell]:
        """The scenario's cells that there are, in the order of `arms`."""
        return [self._cells[scenario, arm] for arm in arms if self.has(scenario, arm)]

    def _take(self, found: Cell) -> None:
        self._cells[found.scenario, found.arm] = found


Measure = Callable[[Cell], float]
LOWER: Mapping[str, Measure] = {
    "TTFT p50": lambda cell: cell.ttft_p50,
    "TTFT p90": lambda cell: cell.ttft_p90,
    "TTFT p99": lambda cell: cell.ttft_p99,
    "end to end p50": lambda cell: cell.whole_p50,
    "end to end p99": lambda cell: cell.whole_p99,
    "first turns' TTFT p90": lambda cell: cell.first_p90,
    "errors": lambda cell: cell.error_share,
}
"""Better when lower."""
HIGHER: Mapping[str, Measure] = {
    "hit rate": lambda cell: cell.hit,
    "good": lambda cell: cell.good,
    "requests": lambda cell: cell.requests,
}
"""Better when higher. A closed loop: sessions that are answered sooner ask sooner."""
EQUAL = 0.03
"""Of the best: so near is as good, in a closed loop."""
LOOP: Mapping[str, tuple[int, Measure]] = {
    "turns/s": (-1, lambda cell: _loop(cell).figures.turns_s),
    "hit rate": (-1, lambda cell: _loop(cell).figures.hit),
    "TTFT mean": (1, lambda cell: _loop(cell).figures.ttft_mean),
    "TTFT p50": (1, lambda cell: _loop(cell).figures.ttft_p50),
    "whole session": (1, lambda cell: _loop(cell).figures.session_s),
    "good": (-1, lambda cell: _loop(cell).good),
    "slowest tenth": (-1, lambda cell: _loop(cell).figures.tenth),
    "longest wait": (1, lambda cell: _loop(cell).figures.longest_s),
}
"""Of a scenario with tools; 1 where lower is better."""


def _loop(cell: Cell) -> Loop:
    assert cell.loop is not None
    return cell.loop
