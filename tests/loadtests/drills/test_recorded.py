"""A replay that is not within a point of what was counted is marked, and ends the drill with 1."""

import pytest

from loadtests.drills.recorded import APART, Counted, report
from loadtests.laboratory.simulate.what_if import RECORDED, Spent


@pytest.mark.parametrize(("replayed", "marked"), [(0.805, False), (0.791, False), (0.811, True), (0.789, True)])
def test_what_is_apart_is_marked(replayed: float, marked: bool) -> None:
    found = [Spent(name, hit, 0.1, 0.2, 0, 1.0, 2.0) for name, hit in ((RECORDED, 0.9), ("policy", replayed))]
    table = report(Counted(100, 0.8), found, 60)
    assert any(APART in row for row in table.rows) is marked
    assert f"{100 * (replayed - 0.8):+.2f} points" in table.title
