"""A shadow that is a tenth or more beside the truth is marked, and ends the drill with 1."""

import pytest

from loadtests.drills.shadows import APART, TURNS, Fleet, report, visits


@pytest.mark.parametrize(("said", "marked"), [(500, False), (545, False), (560, True), (440, True), (-500, True)])
def test_what_is_apart_is_marked(said: int, marked: bool) -> None:
    served = Fleet(10, 1000, 800, {"served": 790, "round_robin": 790 - said})
    table = report(served, {"round_robin": Fleet(10, 1000, 300, {})})
    assert any(APART in row for row in table.rows) is marked


def test_equal_seeds_are_equal_traffic_and_sessions_come_at_random() -> None:
    found = list(visits(200.0))
    assert found == list(visits(200.0)) != list(visits(200.0, seed=2))
    assert 40 < len(found) < 80
    assert all(0 < one.at_s <= 200 and len(one.pauses_s) == TURNS for one in found)
