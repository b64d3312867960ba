"""Means over seeds and their confidence intervals; arms compared seed by seed.

Runs of one seed meet the same traffic, so the ratio of two arms is taken within each seed: what the traffic adds to
both falls out. Intervals are 95 %, by Student's t; of one seed there is none.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom."""
_T_MANY = 2.04
"""For more; at 30 degrees it is exact, in between a little too wide or too narrow in the third figure."""


class Interval(NamedTuple):
    """A mean and where the true one lies with 95 % confidence; `low` and `high` are NaN for a single value."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def interval(values: Sequence[float]) -> Interval:
    """Of at least one value."""
    mean, count = fmean(values), len(values)
    if count == 1:
        return Interval(mean, math.nan, math.nan)
    t = _T[count - 2] if count - 2 < len(_T) else _T_MANY
    half = t * stdev(values) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def paired_ratio(values: Sequence[float], others: Sequence[float]) -> Interval:
    """How many times the others the values are, pair by pair: the geometric mean, with its interval. NaN where one of
    them is not above 0."""
    if not all(value > 0 for value in (*values, *others)):
        return Interval(math.nan, math.nan, math.nan)
    logs = interval([math.log(a / b) for a, b in zip(values, others, strict=True)])
    return Interval(*(math.exp(value) for value in logs))
