"""One cell: a fleet, the users of a closed loop in front of it, and what can be said of it before any run."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.engine.profiles import PROFILES, Profile
from loadtests.laboratory.pressure import bound
from loadtests.laboratory.pressure.traffic import mean_context
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.scenario import Routers, Scenario
from loadtests.laboratory.traces.script import BLOCK_TOKENS, Script

QUEUE_TIMEOUT_S = 3600.0
"""Of all arms: nobody is refused for having waited for a worker."""
PATIENCE_S = 3600.0
"""Seconds after the measured span for which the run waits for turns that have not begun."""
MODEL = PROFILES["qwen3-32b-2xh100"]
"""Decode times are this one's."""


@dataclass(frozen=True)
class Cell:
    """`ratio`: what the users' contexts take together, over the fleet's memory."""

    name: str
    scripts: Sequence[Script]
    workers: int
    profile: Profile
    ratio: float
    seconds: float
    """That are measured."""
    routers: int = 1

    @property
    def users(self) -> int:
        """At least one."""
        return max(1, round(self.ratio * self.fit))

    @property
    def fit(self) -> float:
        """Sessions whose mean contexts fit into the memory together."""
        return self.profile.kv_tokens * self.workers / mean_context(self.scripts)

    @property
    def tstar_s(self) -> float:
        """In which a worker computes its whole pool."""
        return self.profile.kv_tokens / self.profile.prefill_rate

    @property
    def floor_s(self) -> float:
        """One round of loads: what does not fit, computed once. No longest wait can be below it."""
        outside = max(0.0, self.users - self.fit) / self.workers
        return outside * mean_context(self.scripts) / self.profile.prefill_rate

    @property
    def turns_bound(self) -> float:
        """Turns per second that no router can pass."""
        return bound.turns_per_s(self.scripts, bound.Fleet(self.workers, self.users, self.profile))

    @property
    def mean_pause_s(self) -> float:
        pauses = [turn.think_s for script in self.scripts for turn in script.turns[1:]]
        return sum(pauses) / len(pauses)

    def scenario(self, session_wait_s: float) -> Scenario:
        """Of one arm. A closed loop has no rate of arrivals: the unit of `requests` is a second."""
        return Scenario(
            f"{self.name}, bound {session_wait_s:g} s",
            Crowd(self.scripts, users=self.users),
            1.0,
            [self.profile] * self.workers,
            requests=round(self.seconds),
            session_wait_s=session_wait_s,
            queue_timeout_s=QUEUE_TIMEOUT_S,
            patience_s=PATIENCE_S,
            routers=Routers(self.routers),
        )


def profile_of(prefill_rate: float, kv_tokens: int) -> Profile:
    """A worker that prefills contexts of any length at this rate, attention included."""
    return dataclasses.replace(
        MODEL,
        name=f"{prefill_rate:g}/s",
        prefill_rate=prefill_rate,
        kv_tokens=kv_tokens,
        max_model_len=max(MODEL.max_model_len, kv_tokens),
        block_tokens=BLOCK_TOKENS,
        pair_s=0.0,
    )
