"""The workers of a scenario: engines that answer, fail or are away, as the scenario has it.

What must not be broken: a request that reached an engine hears of its first token and its last one, or that it failed;
never both, and never twice.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

from loadtests.engine.job import Job
from loadtests.engine.profiles import Profile
from loadtests.engine.scheduler import Progress
from loadtests.engine.tier import Tier
from loadtests.laboratory.simulate.engine import VirtualEngine
from loadtests.laboratory.simulate.timeline import Timeline
from router.engines import Facts, Load, ModelCard
from router.relay.retry import AttemptOutcome, answered

MODEL = "lab"


class Condition(Enum):
    """How a worker answers."""

    WELL = "well"
    FAILS = "fails"
    """Every request is answered 500 at once."""
    AWAY = "away"
    """The worker does not listen; what ran is lost, and the KV pool is empty afterwards."""


class Change(NamedTuple):
    """A worker's condition from a moment on."""

    at_s: float
    worker: int
    condition: Condition


class Answering(Protocol):
    """The sender of a request, which learns how the request ends."""

    job: Job

    def first_byte(self) -> None: ...

    def finished(self) -> None: ...

    def failed(self, outcome: AttemptOutcome[None]) -> None:
        """As the router names what came of an attempt."""
        ...


class Host:
    """One worker's engine."""

    def __init__(self, timeline: Timeline, number: int, profile: Profile, shared: Tier | None = None) -> None:
        self.url = f"http://worker-{number}"
        self.engine = VirtualEngine(timeline, profile, self._progress, shared)
        self.condition = Condition.WELL
        self.says = 1.0
        """It claims this many times the KV memory that it has."""
        self.on_change: list[Callable[[], None]] = []
        """Called when the condition has changed."""
        self._timeline = timeline
        self._asking: dict[Job, Answering] = {}

    def ask(self, asking: Answering) -> None:
        """A request arrives."""
        if self.condition is Condition.AWAY:
            self._timeline.at(self._timeline.now, asking.failed, AttemptOutcome("connect"))
            return
        if self.condition is Condition.FAILS:
            self._timeline.at(self._timeline.now, asking.failed, answered(500))
            return
        self._asking[asking.job] = asking
        try:
            self.engine.submit(asking.job)
        except ValueError:
            del self._asking[asking.job]
            self._timeline.at(self._timeline.now, asking.failed, answered(400))

    def become(self, condition: Condition) -> None:
        """Change the condition now."""
        self.condition = condition
        if condition is Condition.AWAY:
            self.engine.restart()
            lost, self._asking = self._asking, {}
            for asking in lost.values():
                asking.failed(AttemptOutcome("reset"))
        for tell in self.on_change:
            tell()

    def facts(self) -> Facts:
        """What a probe would read."""
        profile = self.engine.profile
        return Facts(
            engine="vllm",
            version="lab",
            models=(ModelCard(MODEL, MODEL, "", profile.max_model_len),),
            block_tokens=profile.block_tokens,
            kv_capacity_tokens=round(profile.blocks * profile.block_tokens * self.says),
            generation=str(self.engine.generation),
        )

    def load(self) -> Load:
        """What a scrape would read."""
        scheduler, stats = self.engine.scheduler, self.engine.stats
        return Load(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            kv_usage=scheduler.pool.usage,
            prefill_seconds_sum=stats.prefill_s.sum,
            prefill_tokens_sum=int(stats.computed_tokens.sum),
            prompt_tokens_total=stats.prompt_tokens,
            hit_tokens_total=stats.cached_tokens,
            generated_tokens_total=stats.generated_tokens,
            generation=str(self.engine.generation),
        )

    def _progress(self, progress: Progress) -> None:
        asking = self._asking.get(progress.job)
        if asking is None:
            return
        if progress.first:
            asking.first_byte()
        if progress.last:
            del self._asking[progress.job]
            asking.finished()
