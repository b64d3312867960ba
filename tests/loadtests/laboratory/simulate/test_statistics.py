"""Intervals."""

import math
import random

import pytest

from loadtests.laboratory.simulate.statistics import interval, paired_ratio


def test_an_interval_is_students() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3.0
    assert (high - mean, mean - low) == pytest.approx((1.963, 1.963), abs=0.001)  # 2.776 * 1.5811 / sqrt 5


def test_a_single_value_has_no_interval() -> None:
    assert interval([2.0]).mean == 2.0
    assert math.isnan(interval([2.0]).half)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = random.Random(1)
    held = 0
    for _ in range(400):
        low, high = interval([rng.gauss(10, 3) for _ in range(5)])[1:]
        held += low < 10 < high
    assert 0.92 < held / 400 < 0.98


def test_pairs_take_out_what_both_have_in_common() -> None:
    common = [1.0, 10.0, 100.0]
    ratio = paired_ratio([1.1 * value for value in common], common)
    assert ratio == pytest.approx((1.1, 1.1, 1.1))
    assert math.isnan(paired_ratio([0.0, 1.0], [1.0, 1.0]).mean)
