"""An engine under the virtual clock: the scheduler and KV pool of `loadtests.engine`, driven by events.

The model is the same object that the HTTP engine drives in real time (`loadtests.engine.driver`); only the clock that
drives it differs. Steps in which nothing can change are one event.
"""

import math
from collections.abc import Callable

from loadtests.engine.job import Job
from loadtests.engine.metrics import EngineStats
from loadtests.engine.profiles import Profile
from loadtests.engine.scheduler import Progress, Scheduler
from loadtests.engine.tier import Tier
from loadtests.laboratory.simulate.timeline import Timeline


class VirtualEngine:
    """One engine. `tell` hears of every progress, at its time."""

    def __init__(
        self, timeline: Timeline, profile: Profile, tell: Callable[[Progress], None], shared: Tier | None = None
    ) -> None:
        self.profile = profile
        self._shared = shared
        self.generation = 0
        """How often it was restarted."""
        self.busy_before_s = 0.0
        """Time in steps before the last restart."""
        self._timeline = timeline
        self._tell = tell
        self._wakes_at = math.inf
        self._waking = 0
        self._begin()

    def submit(self, job: Job) -> None:
        """Queue the job. ValueError if it can never fit the KV pool."""
        self.scheduler.submit(job, self._timeline.now)
        self._wake(self._timeline.now)

    def restart(self) -> None:
        """Replace the process: its jobs are lost (their listeners hear no more), and its pool is empty."""
        self.generation += 1
        self.busy_before_s += self.scheduler.busy_s
        self._waking += 1
        self._wakes_at = math.inf
        self._begin()

    @property
    def busy_s(self) -> float:
        """Seconds in steps, restarts or not."""
        return self.busy_before_s + self.scheduler.busy_s

    def _begin(self) -> None:
        self.scheduler = Scheduler(self.profile, self._shared)
        self.stats = EngineStats()

    def _wake(self, when: float) -> None:
        if when < self._wakes_at:
            self._wakes_at = when
            self._waking += 1
            self._timeline.at(when, self._tick, self._waking)

    def _tick(self, waking: int) -> None:
        if waking != self._waking:
            return
        self._wakes_at = math.inf
        progress, next_at = self.scheduler.step(self._timeline.now)
        for item in progress:
            self.stats.saw(item)
            self._tell(item)
        if next_at is not None:
            self._wake(next_at)
