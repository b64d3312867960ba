"""For how long sessions pause, and for how long their memory is worth keeping meanwhile.

Keeping a session's memory for t seconds costs its share of the pool for that time; dropping it costs its prefill.
Divided by its size, both are seconds of the whole worker: t against T*, the time in which the worker recomputes its
whole pool. With F(t), the share of turns that return within t, the best lease is the t <= T* with the largest
F(t) T* - E[min(pause, t)]. Denning's working set and the five-minute rule are this.
"""

import math
from bisect import bisect_left

EDGES_S = tuple(0.25 * 2 ** (n / 2) for n in range(32))
"""Pauses are counted up to each of these, from 0.25 s to 3.2 hours."""
SPREAD = (0.5, 0.3, 0.2)
"""A pause of a second says that the next one may take up to two: what it weighs for the step of its length, and for the
two steps behind it. Danger: with all at its own step, while few pauses are known, each longer one comes after its
lease, and its session is computed anew."""
MEMORY = 400
"""Turns after which what was counted before weighs half."""


class Pauses:
    """Of turns that ended alike. Turns that never return count as longer than any lease."""

    __slots__ = ("_began", "_counts", "_returned_s")

    def __init__(self, prior_turns: float, prior_pause_s: float) -> None:
        """Begins as if `prior_turns` had ended and returned after `prior_pause_s` (inf: never)."""
        self._began = prior_turns
        self._counts = [0.0] * (len(EDGES_S) + 1)
        self._returned_s = 0.0
        if prior_pause_s < math.inf:
            self._counts[bisect_left(EDGES_S, prior_pause_s)] = prior_turns
            self._returned_s = prior_turns * prior_pause_s

    @property
    def turns(self) -> float:
        """Number of turns that ended, the older ones weighted less."""
        return self._began

    @property
    def mean_s(self) -> float:
        """Mean pause of those that returned, in seconds; 0 while none did."""
        returned = sum(self._counts)
        return self._returned_s / returned if returned else 0.0

    def began(self) -> None:
        """A turn ended, and it is known by now whether it was followed by another one in time."""
        self._began += 1
        if self._began > 2 * MEMORY:
            self._began /= 2
            self._returned_s /= 2
            self._counts = [count / 2 for count in self._counts]

    def returned(self, pause_s: float) -> None:
        """The session's next turn came after this pause."""
        self._counts[bisect_left(EDGES_S, pause_s)] += 1
        self._returned_s += min(pause_s, EDGES_S[-1])

    def kept(self, lease_s: float) -> tuple[float, float]:
        """Of a turn, with a lease: the share that returns in time, and the mean time for which memory is kept."""
        if not self._began:
            return 0.0, lease_s
        in_time = seconds = 0.0
        for count, edge in zip(self._counts, EDGES_S, strict=False):
            if edge > lease_s:
                break
            in_time += count
            seconds += count * edge
        late = max(0.0, self._began - in_time)
        return min(1.0, in_time / self._began), (seconds + late * lease_s) / max(self._began, in_time)

    def lease_s(self, tstar_s: float) -> float:
        """The best lease: 0 where no pause is worth its memory."""
        best_s = best = in_time = seconds = 0.0
        for step, edge in enumerate(EDGES_S):
            if edge > tstar_s:
                break
            count = self._expected(step)
            in_time += count
            seconds += count * edge
            gain = in_time * tstar_s - seconds - max(0.0, self._began - in_time) * edge
            if gain >= best > 0 or gain > best:
                best_s, best = edge, gain
        return best_s

    def _expected(self, step: int) -> float:
        """Turns that may return at this step, by those seen there and a little before."""
        return sum(part * self._counts[step - back] for back, part in enumerate(SPREAD) if back <= step)
