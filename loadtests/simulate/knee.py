"""The knee: the highest load at which the best arm has nine tenths of the good requests that it has at little load.

Not nine tenths of all requests: where memory is scarce some are recomputed at any load.
"""

from collections.abc import Callable, Sequence

from loadtests.simulate.outcomes import Summary
from loadtests.simulate.scenario import Scenario

GOOD_SHARE = 0.9
LITTLE = 1 / 8
"""Of the guess."""
PRECISION = 1.06
"""The bisection ends when its bounds are nearer than this factor."""
_SEED = 0
"""One that no comparison uses."""

At = Callable[[float], Scenario]
"""The scenario at so many requests per second."""
Play = Callable[[Scenario, str, int], Summary]


def find(at: At, arms: Sequence[str], play: Play, guess: float) -> float:
    """Requests per second, within `PRECISION`, for the best of `arms`. The arm that carried the last load is asked
    first, so that most loads need one run."""
    order = list(arms)
    floor = GOOD_SHARE * max(play(at(guess * LITTLE), arm, _SEED).goodput for arm in arms)
    if not floor:
        raise ValueError("no load is small enough for any request to be good")

    def carries(rate: float) -> bool:
        for arm in list(order):
            if play(at(rate), arm, _SEED).goodput >= floor:
                order.remove(arm)
                order.insert(0, arm)
                return True
        return False

    low, high = _bracket(carries, guess)
    while high / low > PRECISION:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if carries(middle) else (low, middle)
    return low


def _bracket(carries: Callable[[float], bool], guess: float) -> tuple[float, float]:
    if carries(guess):
        low = guess
        while carries(low * 2):
            low *= 2
            if low > guess * 1000:
                raise ValueError("no load is too much for this fleet: the trace is too short to find a knee")
        return low, low * 2
    high = guess
    while not carries(high / 2):
        high /= 2
        if high < guess * LITTLE:
            break
    return high / 2, high
