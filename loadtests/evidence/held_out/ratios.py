"""How many times one arm's figure another one's is, over many cells: geometric means, with bootstrap intervals.

A cell weighs as much as any other, however many seconds its requests take. Arms are compared seed by seed.
"""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

DRAWS = 2_000
"""Resamples of an interval: its bounds are good to about a hundredth of its width."""

Logs = Sequence[Sequence[float]]
"""For each cell, the logarithm of the ratio under each seed."""


class Ratio(NamedTuple):
    """A geometric mean over cells, and where it lies with 95 % confidence if other cells and seeds had been drawn."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def by_cell(values: Mapping[str, Sequence[float]], others: Mapping[str, Sequence[float]]) -> Logs:
    """The logarithms of the ratios, in the order of `others`."""
    return [[math.log(a / b) for a, b in zip(values[cell], others[cell], strict=True)] for cell in others]


def overall(logs: Logs) -> Ratio:
    """Cells are drawn anew with replacement, and the seeds within each."""
    rng = random.Random(0)
    means = sorted(fmean(_again(rng.choices(logs, k=len(logs)), rng)) for _ in range(DRAWS))
    low, high = means[round(0.025 * DRAWS)], means[round(0.975 * DRAWS) - 1]
    return Ratio(math.exp(fmean(map(fmean, logs))), math.exp(low), math.exp(high))


def _again(logs: Logs, rng: random.Random) -> list[float]:
    return [fmean(rng.choices(one, k=len(one))) for one in logs]
