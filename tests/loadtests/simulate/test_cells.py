"""Which cells a sweep has, and which arms are left out."""

from loadtests.simulate.cells import Cell, hopeless
from loadtests.simulate.kept import Facts
from tests.loadtests.simulate.test_verdict import runs


def corner(ratio: float, **ttfts: tuple[float, float]) -> Cell:
    arms = {arm: runs(p50, p90, p90, 0.9) for arm, (p50, p90) in ttfts.items()}
    return Cell(Facts("steady", 0.5, 3.0, ratio), arms)


def test_an_arm_that_is_far_behind_in_both_corners_is_left_out() -> None:
    easy = corner(0.25, expected_ttft=(1.0, 1.0), random=(2.0, 2.0), lmetric=(1.5, 1.0), round_robin=(2.0, 2.0))
    hard = corner(4.0, expected_ttft=(9.0, 9.0), random=(2.0, 2.0), lmetric=(9.0, 9.0), round_robin=(3.0, 3.0))
    assert hopeless([easy, hard]) == {"round_robin"}


def test_the_default_is_run_everywhere_and_a_single_corner_says_nothing() -> None:
    cell = corner(4.0, expected_ttft=(9.0, 9.0), lmetric=(1.0, 1.0), random=(9.0, 9.0))
    assert hopeless([cell, cell]) == {"random"}
    assert hopeless([cell]) == set()


def test_an_oracle_neither_leads_nor_is_left_out() -> None:
    cell = corner(1.0, expected_ttft=(2.0, 2.0), oracle=(1.0, 1.0), lmetric=(2.2, 2.2))
    slow = corner(1.0, expected_ttft=(2.0, 2.0), oracle=(9.0, 9.0), lmetric=(2.2, 2.2))
    assert hopeless([cell, cell]) == hopeless([slow, slow]) == set()
