"""What is said of a cell before any run."""

import pytest

from loadtests.laboratory.pressure.cell import Cell, profile_of
from loadtests.laboratory.simulate.crowd import Crowd
from tests.loadtests.laboratory.simulate.scripts import script

CELL = Cell("c", [script("a", [10, 20, 30], think_s=3.0)], 2, profile_of(1_000, 6_560), ratio=2.0, seconds=50)


def test_users_are_the_ratio_times_those_that_fit() -> None:
    assert CELL.fit == 10.0
    assert CELL.users == 20


def test_its_times() -> None:
    assert CELL.tstar_s == 6.56
    assert CELL.floor_s == pytest.approx(5 * 1.312)
    assert CELL.mean_pause_s == 3.0


def test_where_all_fit_there_is_no_floor() -> None:
    roomy = Cell("c", CELL.scripts, 2, CELL.profile, ratio=0.8, seconds=50)
    assert roomy.users == 8
    assert roomy.floor_s == 0.0


def test_an_arm_is_the_router_s_setting_and_nothing_else_differs() -> None:
    without, bounded = CELL.scenario(0.0), CELL.scenario(240.0)
    assert (without.session_wait_s, bounded.session_wait_s) == (0.0, 240.0)
    assert without.queue_timeout_s == bounded.queue_timeout_s == 3600.0
    assert without.measured_s == bounded.measured_s == 50
    assert isinstance(without.mix, Crowd)
    assert without.mix.users == 20
    assert [profile.kv_tokens for profile in without.profiles] == [6_560, 6_560]
