"""What all arms of a comparison meet: the traffic, the fleet, and what goes wrong in it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.engine.profiles import Profile
from loadtests.laboratory.simulate.hosts import Change
from loadtests.laboratory.simulate.pace import cold_s
from loadtests.laboratory.simulate.traffic import Mix, Start
from loadtests.laboratory.traces.script import BLOCK_TOKENS
from router.settings import Settings

SERVED = Settings()
ROOM = 1.1
"""Least size of a KV pool, in longest prompts: below, a prompt could never run."""

RECORDED_WARM_UP = 0.25
"""Of the measured span, where single requests are played as they were recorded."""


@dataclass(frozen=True, slots=True)
class Routers:
    """How many there are, and what they know of each other."""

    count: int = 1
    staleness_s: float = 0.005
    """What one router did is known to the others after this."""
    private: bool = False
    """They know nothing of each other: neither prefixes nor load."""


@dataclass(frozen=True)
class Scenario:
    """One cell of a sweep."""

    name: str
    mix: Mix
    requests_per_s: float
    profiles: Sequence[Profile]
    """One per worker; their blocks are of the traces' 64 tokens."""
    routers: Routers = Routers()
    requests: int = 2000
    """How many are measured, after the warm-up."""
    changes: Sequence[Change] = ()
    """Times are from the beginning of the measured span."""
    extra: Sequence[Start] = ()
    """Sessions on top of the mix. Times are from the beginning of the measured span."""
    extra_only: bool = False
    """Only requests of the extra sessions are measured."""
    shared_tier: bool = False
    """The profiles' second tiers are one pool for all workers, of the first one's size, instead of one each."""
    host_kv_tokens: int = 0
    """The router's setting: what it believes that each worker's second tier holds."""
    sessions_named: bool = True
    """False if clients do not name sessions: rules that use sessions then use the prompt's beginning."""
    says: float = 1.0
    """Workers claim this many times the KV memory that they have."""
    prefix_caching: bool = True
    """False: workers compute every prompt whole."""
    session_wait_s: float = SERVED.session_wait_s
    """The router's setting: 0 for no admission of sessions."""
    queue_timeout_s: float = SERVED.queue_timeout_s
    """The router's setting."""
    patience_s: float = 120.0
    """Seconds that the run waits, after the measured span, for requests that have not ended."""
    warm_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "warm_s", self._warm_s())

    @property
    def measured_s(self) -> float:
        return self.requests / self.requests_per_s

    @property
    def capacity(self) -> int:
        """KV tokens of the whole fleet."""
        return sum(profile.kv_tokens for profile in self.profiles)

    @property
    def ratio(self) -> float:
        """Working set over capacity."""
        return self.mix.working_set(self.requests_per_s) / self.capacity

    def unlimited(self) -> "Scenario":
        """The same with KV memory for everything."""
        plenty = [dataclasses.replace(profile, kv_tokens=1 << 33) for profile in self.profiles]
        return dataclasses.replace(self, profiles=plenty)

    def _warm_s(self) -> float:
        """Time to compute the contexts of all sessions that are under way, half as much again, and some to settle."""
        if self.mix.once:
            return 0.0
        if self.mix.recorded:
            return RECORDED_WARM_UP * self.measured_s
        live = self.mix.live_sessions(self.requests_per_s)
        tokens = self.mix.held / max(1e-9, self.mix.duration_s)
        settle_s = min(30.0, 0.5 * self.mix.duration_s, self.measured_s)
        return settle_s + 1.5 * live * cold_s(self.profiles[0], round(tokens)) / len(self.profiles)


def fleet(profile: Profile, workers: int, mix: Mix, requests_per_s: float, ratio: float | None) -> list[Profile]:
    """Equal workers. With a `ratio`, their KV memory is such that the working set over all of it is this ratio (but
    no less than the longest prompt needs); without, it is the profile's own."""
    tokens = profile.kv_tokens
    if ratio is not None:
        tokens = round(mix.working_set(requests_per_s) / ratio / workers)
    tokens = max(tokens, round(ROOM * mix.largest()) + BLOCK_TOKENS)
    max_len = max(profile.max_model_len, mix.largest())
    one = dataclasses.replace(profile, kv_tokens=tokens, block_tokens=BLOCK_TOKENS, max_model_len=max_len)
    return [one] * workers
