"""The knee: the highest load at which the best arm has nine tenths of the good requests that it has at little load.

Not nine tenths of all requests: where memory is scarce some are recomputed at any load.
"""

from collections.abc import Callable, Sequence

from loadtests.laboratory.simulate.outcomes import Summary
from loadtests.laboratory.simulate.scenario import Scenario

GOOD_SHARE = 0.9
LITTLE = 1 / 8
"""Of the guess."""
AS_ASKED = 0.98
"""Share of the working set over memory that was asked for, from which on it counts as reached."""
PRECISION = 1.06
"""The bisection ends when its bounds are nearer than this factor."""
_SEED = 0
"""One that no comparison uses."""

At = Callable[[float], Scenario]
"""The scenario at a rate in requests per second."""
Play = Callable[[Scenario, str, int], Summary]


def find(at: At, arms: Sequence[str], play: Play, guess: float, ratio: float | None = None) -> float:
    """Requests per second, within `PRECISION`, for the best of `arms`. The arm that carried the last load is asked
    first, so that most loads need one run.

    Where a `ratio` of working set over memory was asked for, little load is one at which it is reached: a pool must
    hold the longest prompt, so that with few sessions memory is not scarce, however scarce it should be."""
    order = list(arms)
    little = guess * LITTLE if ratio is None else _least(at, guess, ratio)
    floor = GOOD_SHARE * max(play(at(little), arm, _SEED).goodput for arm in arms)
    if not floor:
        raise ValueError("no load is small enough for any request to be good")

    def carries(rate: float) -> bool:
        for arm in list(order):
            if play(at(rate), arm, _SEED).goodput >= floor:
                order.remove(arm)
                order.insert(0, arm)
                return True
        return False

    low, high = _bracket(carries, max(guess, little), little)
    while high / low > PRECISION:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if carries(middle) else (low, middle)
    return low


def _least(at: At, guess: float, ratio: float) -> float:
    rate = guess * LITTLE
    while at(rate).ratio < AS_ASKED * ratio and rate < guess / LITTLE:
        rate *= PRECISION
    return rate


def _bracket(carries: Callable[[float], bool], guess: float, little: float) -> tuple[float, float]:
    if carries(guess):
        low = guess
        while carries(low * 2):
            low *= 2
            if low > guess * 1000:
                raise ValueError("no load is too much for this fleet: the trace is too short to find a knee")
        return low, low * 2
    high = guess
    while high / 2 > little:
        if carries(high / 2):
            return high / 2, high
        high /= 2
    return min(little, high), high
