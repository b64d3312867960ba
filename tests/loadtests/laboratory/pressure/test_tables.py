"""A cell's table."""

import dataclasses

from loadtests.laboratory.pressure.tables import table
from tests.loadtests.laboratory.pressure.test_cell import CELL
from tests.loadtests.laboratory.pressure.test_kept import FIGURES


def test_each_arm_stands_beside_the_first_one_in_pairs() -> None:
    half = dataclasses.replace(FIGURES, turns_s=CELL.turns_bound / 2)
    quarter = dataclasses.replace(FIGURES, turns_s=CELL.turns_bound / 4)
    found = table(CELL, {0.0: [quarter, quarter], 240.0: [half, half]})
    assert found.header == ("", "bound 0 s", "bound 240 s", "times bound 0")
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows["of the linear bound"] == ("0.25 ±0.00", "0.50 ±0.00", "")
    assert rows["turns/s"][2] == "2.00 (2.00 to 2.00)"
    assert rows["TTFT mean, s"] == ("inf", "inf", "-")
    assert "20 users where 10.0 fit (ratio 2)" in found.title
    assert all(len(row) == len(found.header) for row in found.rows)
