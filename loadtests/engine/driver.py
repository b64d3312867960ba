"""Drives a scheduler in real time on the event loop: one timer for the whole engine, no task and no busy loop.

A *generation* is the jobs of one HTTP request. The engine's clock runs `speed` times as fast as the wall's. A late
timer loses nothing: steps follow each other by the scheduler's own times.
"""

import asyncio
import math
import time
from collections.abc import Sequence

from loadtests.engine.job import Job
from loadtests.engine.kv_events import KvFeed
from loadtests.engine.metrics import EngineStats
from loadtests.engine.profiles import Profile
from loadtests.engine.scheduler import Progress, Scheduler
from loadtests.engine.tier import SecondTier

TIMER_S = 0.001
"""libuv's timers count whole milliseconds: a shorter wait would spin."""


class Generation:
    """The jobs of one request, and what they have made but the reader has not taken yet."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.lost = False
        """The engine restarted, or the client left: nothing more will come."""
        self._left = len(jobs)
        self._news: list[Progress] = []
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will come than what `news` has returned, or will return at once."""
        return not self._left

    async def news(self) -> list[Progress]:
        """What was made since the last call; waits until there is something. Empty at the end, or when lost."""
        if not self._news and self._left and not self.lost:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        news, self._news = self._news, []
        return news

    def add(self, progress: Progress) -> None:
        self._news.append(progress)
        self._left -= progress.last
        self._wake()

    def lose(self) -> None:
        self.lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Engine:
    """One emulated engine process on the running loop."""

    def __init__(
        self, profile: Profile, speed: float = 1.0, feed: KvFeed | None = None, tier: SecondTier | None = None
    ) -> None:
        """`tier`: a second tier that other engines use too, and that outlives a restart."""
        self.profile = profile
        self._feed = feed
        self._tier = tier
        self.speed = speed
        self.stats = EngineStats()
        self._generations: dict[Job, Generation] = {}
        self._timer: asyncio.Handle | None = None
        self._fires_at = math.inf
        self.restart()

    def restart(self, profile: Profile | None = None, speed: float | None = None) -> None:
        """As if the process had been replaced, by one of another profile or speed if given: every request is lost, the
        KV pool is empty, counters start at 0."""
        self.profile = profile or self.profile
        self.speed = speed or self.speed
        for generation in set(self._generations.values()):
            generation.lose()
        self._generations.clear()
        self._arm(None)
        if self._feed is not None:
            self._feed.restart()
        self.scheduler = Scheduler(self.profile, self._tier, None if self._feed is None else self._feed.events)
        self.stats = EngineStats()
        self.started_at = time.time()
        self._origin = time.monotonic()

    @property
    def requests(self) -> int:
        """Waiting and running."""
        return len(self.scheduler.waiting) + len(self.scheduler.running)

    def now(self) -> float:
        """Engine seconds since the start."""
        return (time.monotonic() - self._origin) * self.speed

    def submit(self, jobs: Sequence[Job]) -> Generation:
        """Queue the jobs. ValueError if one never fits the KV pool."""
        generation = Generation(jobs)
        now = self.now()
        for job in jobs:
            self.scheduler.submit(job, now)
            self._generations[job] = generation
        # Not at once: what arrives in the same turn of the loop shall share the first step.
        self._rearm(0.0)
        return generation

    def abort(self, generation: Generation) -> None:
        """The client left: free the blocks of whatever has not ended, and count it."""
        now = self.now()
        generation.lose()
        for job in generation.jobs:
            if self._generations.pop(job, None) is not None:
                self.scheduler.abort(job, now)
                self.stats.aborted += 1
        self._rearm(0.0)

    def clear(self) -> bool:
        """Forget all that is cached and not in use."""
        cleared = self.scheduler.clear()
        if self._feed is not None:
            self._feed.publish()
        return cleared

    def _rearm(self, delay_s: float) -> None:
        if time.monotonic() + delay_s < self._fires_at:
            self._arm(delay_s)

    def _arm(self, delay_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._fires_at = None, math.inf
        if delay_s is not None:
            loop = asyncio.get_running_loop()
            self._fires_at = time.monotonic() + delay_s
            self._timer = loop.call_later(delay_s, self._tick) if delay_s else loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._timer, self._fires_at = None, math.inf
        progress, next_at = self.scheduler.step(self.now())
        if self._feed is not None:
            self._feed.publish()
        for item in progress:
            self._deliver(item)
        if next_at is not None:
            delay_s = (next_at - self.now()) / self.speed
            self._arm(max(TIMER_S, math.ceil(delay_s / TIMER_S) * TIMER_S))

    def _deliver(self, progress: Progress) -> None:
        job = progress.job
        generation = self._generations.get(job)
        if generation is None:
            return
        self.stats.saw(progress)
        if progress.last:
            del self._generations[job]
        generation.add(progress)
