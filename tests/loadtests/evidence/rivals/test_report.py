"""Tables beside the oracle, and where Warmroute is not the best."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from loadtests.evidence.rivals.cells import Cell, Kept, cell
from loadtests.evidence.rivals.loop import Loop
from loadtests.evidence.rivals.report import loop_table, not_best, table
from loadtests.evidence.rivals.scenarios import SCENARIOS
from loadtests.evidence.rivals.stage import Played
from loadtests.laboratory.pressure.figures import Figures
from loadtests.laboratory.replay.record import NAN, Record, Usage

STEADY = SCENARIOS["steady"]
TOOLS = SCENARIOS["tools-2"]


def measured(arm: str, p50: float = 0.1, **more: Any) -> Cell:
    base: dict[str, Any] = {"errors": {}, "hit": 0.9, "engines_hit": 0.8, "good": 1.0, "requests": 100}
    base |= {
        "ttft_p90": 1.0,
        "ttft_p99": 2.0,
        "whole_p50": 3.0,
        "whole_p99": 4.0,
        "router_cores": 0.1,
        "cores": 0.5,
        "engines_ttft": 0.1,
        "first_p50": 1.0,
        "first_p90": 2.0,
    }
    return Cell(scenario="steady", arm=arm, ttft_p50=p50, machine="m", **(base | more))


def test_times_stand_beside_the_oracles() -> None:
    shown = table(STEADY, [measured("oracle"), measured("smg", 0.15, errors={"status 503": 2})])
    rows = shown.rows
    assert {len(row) for row in rows} == {len(shown.header)}
    assert rows[1][:3] == ("smg", "100", "2 status 503")
    assert rows[1][5] == "0.150 s (1.50)"


def test_every_measure_that_is_lost_is_named() -> None:
    ours = measured("warmroute", 0.2, hit=0.8, errors={"cut off": 1}, first_p90=3.0, requests=90)
    lost = not_best(STEADY, [measured("oracle", 0.01), ours, measured("smg", 0.1), measured("sglang", 0.15)])
    assert lost == [
        "steady: TTFT p50: warmroute 0.200 s, smg 0.100 s",
        "steady: first turns' TTFT p90: warmroute 3.000 s, smg 2.000 s",
        "steady: errors: warmroute 1.11 %, smg 0.00 %",
        "steady: hit rate: warmroute 80.00 %, smg 90.00 %",
        "steady: requests: warmroute 90, smg 100",
    ]


def test_replicas_are_compared_with_at_least_as_many() -> None:
    cells = [measured("warmroute x3", 0.2), measured("smg", 0.1), measured("smg x3 mesh", 0.3)]
    assert not_best(STEADY, cells) == []
    assert not_best(STEADY, [measured("warmroute", 0.2), measured("smg x3", 0.1)])


def test_first_turns_are_counted_apart() -> None:
    def record(turn: int, ttft_s: float, error: str = "") -> Record:
        return Record("s", turn, 0.0, ttft_s, 3.0, error, "", Usage(100, 50, 5))

    played = Played([record(0, 9.0), record(1, 9.0), record(2, 0.5), record(3, NAN, "cut off")], {}, 0.2, 0.5, "idle")
    found = cell("steady", "smg", played)
    assert (found.requests, found.errors, found.ttft_p99, found.hit, found.good) == (2, {"cut off": 1}, 0.5, 0.5, 0.5)
    assert (found.first_p50, found.first_p90) == (9.0, 9.0)


def test_cells_are_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cells.jsonl")
    kept.add(measured("smg", 0.1))
    kept.add(measured("smg", 0.2))
    kept.add(measured("oracle", float("nan")))
    again = Kept(tmp_path / "cells.jsonl")
    oracle, smg = again.of("steady", ["oracle", "warmroute", "smg"])
    assert smg.ttft_p50 == 0.2
    assert oracle.ttft_p50 != oracle.ttft_p50
    assert not again.has("steady", "warmroute")


def test_of_a_closed_loop_only_what_is_clearly_worse_is_named() -> None:
    def looped(arm: str, turns_s: float, **more: Any) -> Cell:
        figures = Figures(turns_s, 0.9, 2.0, 0.1, 5.0, 9.0, 30.0, 60.0, 10, 12.0, 0, 0)
        return measured(arm, loop=Loop(dataclasses.replace(figures, **more), 0.8))

    ours, rival = looped("warmroute", 9.8, longest_s=60.0), looped("smg", 10.0, ttft_mean=2.01)
    assert not_best(TOOLS, [ours, rival]) == ["tools-2: longest wait: warmroute 60.000, smg 30.000"]
    shown = loop_table(TOOLS, [ours, rival, measured("oracle")])
    assert [row[:2] for row in shown.rows] == [("warmroute", "9.800"), ("smg", "10.000")]
    assert {len(row) for row in shown.rows} == {len(shown.header)}


def test_a_cell_of_a_closed_loop_is_kept_with_its_figures(tmp_path: Path) -> None:
    figures = Figures(1.0, 0.9, math.inf, 0.1, 5.0, 9.0, 30.0, math.inf, 10, 12.0, 1, 0)
    found = measured("smg", loop=Loop(figures, 0.8))
    Kept(tmp_path / "cells.jsonl").add(found)
    (again,) = Kept(tmp_path / "cells.jsonl").of("steady", ["smg"])
    assert again.loop == found.loop
