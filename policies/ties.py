"""The one place where a policy's tie is broken.

Several routers may decide on the same, slightly stale view. If each took the first of equal candidates, all would send
their next request to the same worker; so candidates that are as good as the best one are drawn from at random, each
router with a generator of its own. Nothing else in this package may choose between equal costs.
"""

import random
from collections.abc import Sequence

NEAR_TIE = 0.005
"""Share of the lowest cost within which another candidate is as good (no unit): half a percent, far below the error of
any prediction here. Danger: it eats into the small terms of a cost, such as the 0.02 s that `expected_ttft` adds
for a request in flight."""

EXACT = 0.0
"""Margin under which only equal costs tie: for published rules, compared as published, and for ranks."""


def lowest(costs: Sequence[float], rng: random.Random, margin: float = NEAR_TIE) -> int:
    """Index of the lowest cost; of those within `margin` of it (a share of its size), one at random.

    `costs` holds at least one finite number. Draws from `rng` only when there is a tie.
    """
    ranked = sorted(costs)  # with the usual single winner, this is less than half the price of a scan for near ties
    low = ranked[0]
    limit = low + abs(low) * margin
    if len(ranked) == 1 or ranked[1] > limit:
        return costs.index(low)
    near = [index for index, cost in enumerate(costs) if cost <= limit]
    return near[int(rng.random() * len(near))]
