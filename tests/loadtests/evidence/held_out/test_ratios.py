"""Geometric means over cells, and how sure they are."""

import math

import pytest

from loadtests.evidence.held_out.ratios import by_cell, overall


def test_a_cell_weighs_as_much_as_any_other_whatever_its_size() -> None:
    ours = {"short": [0.2, 0.2], "long": [50.0, 50.0]}
    theirs = {"short": [0.1, 0.1], "long": [100.0, 100.0]}
    assert overall(by_cell(ours, theirs)).mean == pytest.approx(1.0)


def test_arms_are_compared_seed_by_seed() -> None:
    logs = by_cell({"a": [1.0, 100.0]}, {"a": [2.0, 200.0]})
    assert logs == [[math.log(0.5)] * 2]
    assert overall(logs) == pytest.approx((0.5, 0.5, 0.5))


def test_the_interval_is_as_wide_as_cells_differ() -> None:
    alike, unlike = ([[math.log(ratio)] * 3 for ratio in ratios] for ratios in ([0.9, 0.92] * 10, [0.5, 1.7] * 10))
    narrow, wide = overall(alike), overall(unlike)
    assert narrow.low <= narrow.mean <= narrow.high < 0.93
    assert wide.low < 0.75 < wide.mean < 1.1 < wide.high
    assert overall(unlike) == wide, "the same draws each time"
