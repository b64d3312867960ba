"""All courses at once, each request to one of the routers at random, as behind a balancer that knows nothing."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.endurance.client import ask
from loadtests.endurance.processes import Engine
from loadtests.endurance.results import Result
from loadtests.replicas.courses import Course

WARM_TURNS = 2
"""The first requests of a course: nobody can have its prefix yet, or only one router has seen it."""

SPREAD = (0.5, 1.5)
"""A pause, of the mean one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Sums over all engines."""

    queried: int
    hit: int

    @classmethod
    async def now(cls, engines: Sequence[Engine]) -> "Tokens":
        """Ask the engines."""
        states = [await engine.state() for engine in engines]
        return cls(*(sum(state[name] for state in states) for name in ("queried_tokens", "hit_tokens")))

    def since(self, before: "Tokens") -> "Tokens":
        """What came after `before`."""
        return Tokens(self.queried - before.queried, self.hit - before.hit)

    @property
    def hit_rate(self) -> float:
        """Share of the prompt tokens that were cached."""
        return self.hit / self.queried if self.queried else float("nan")


@dataclass(slots=True)
class Replay:
    """Runs turns of all courses. `pause_s` is a session's mean time between an answer and its next request."""

    ports: Sequence[int]
    courses: Sequence[Course]
    pause_s: float
    rng: random.Random
    port_of: Callable[[bytes], int] | None = None
    """Chooses by the body instead of at random."""

    async def turns(self, first: int, last: int) -> list[Result]:
        """Requests `first` to `last` (not included) of every course; the courses begin spread over a pause."""
        results: list[Result] = []

        async def run(course: Course, rng: random.Random) -> None:
            for body in course.bodies[first:last]:
                await asyncio.sleep(rng.uniform(*SPREAD) * self.pause_s)
                place = rng.random()
                port = self.ports[int(place * len(self.ports))] if self.port_of is None else self.port_of(body)
                results.append(await ask(port, body))

        async with asyncio.TaskGroup() as group:
            for course in self.courses:
                group.create_task(run(course, random.Random(self.rng.random())))
        return results
