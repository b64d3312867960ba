"""Where the next attempt goes: to the worker that owns the request, or to the one that the policy selects, now or after
a wait in the router.

`decide` awaits (the index); what follows is pure: `must_wait` and `choice_of` read the decision.
"""

import time
from collections.abc import Callable, Collection

import msgspec
from msgspec.structs import replace

from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.routing.asked import Asked
from router.routing.decide import Decider, Decision, NoWorkerError, prefix_of
from router.routing.saturation import saturated
from router.routing.waiting_room import Verdict, WaitingRoom
from tokenizer_cache.prompt import Prompt


class Choice(msgspec.Struct, frozen=True):
    """One worker for one attempt, why, and what is expected of it there."""

    worker: Worker
    reason: str
    format: str
    """The worker's, when it was chosen: another engine may be there before the answer's end."""
    candidates: int = 0
    """Number of workers among which it was chosen."""
    prompt: Prompt | None = None
    """The prompt in that format; None where nothing is recorded of it."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    uncached_tokens: int = 0
    prefill_s: float = 0.0
    """Estimated time until prefill is done; confirms the prompt of an answer that comes in one piece."""
    tells: bool = False
    """Its first byte shows the end of its prefill."""

    @property
    def prefix(self) -> bytes:
        """The key of the prompt's start."""
        return prefix_of(self.prompt) if self.prompt is not None else b""

    @property
    def source(self) -> str:
        """How the prompt's tokens are known."""
        return self.prompt.source if self.prompt is not None else ""

    @property
    def charged_tokens(self) -> int:
        """What a client pays for it, as far as is known: an owner's cache is not looked at."""
        return self.uncached_tokens if self.prompt is not None else self.prompt_tokens


class Chooser:
    """Decides, and knows when to wait."""

    def __init__(
        self, fleet: Fleet, decider: Decider, room: WaitingRoom, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fleet = fleet
        self._decider = decider
        self._room = room
        self._clock = clock
        self._bound_s = room.limits.bound_s

    async def decide(self, asked: Asked, failed: Collection[Worker] = ()) -> Decision:
        """Look and choose, without those that have failed it. Raises NoWorkerError."""
        sight = await self._decider.look(asked.group, asked.prompts, failed)
        return self._decider.choose(sight, asked.prompts, asked.session)

    def costs(self, asked: Asked, decision: Decision) -> list[float]:
        """The policy's cost for each candidate of `decision`: to explain it."""
        return self._decider.costs(decision, asked.prompts, asked.session)

    def must_wait(self, asked: Asked, decision: Decision) -> bool:
        """Is every worker saturated, or does another request wait already? A request without a prompt never waits."""
        if not self._bound_s or asked.request is None:
            return False
        return self._room.crowded(asked.group.name) or saturated(decision, self._bound_s, self._clock())

    async def wait(self, asked: Asked) -> Decision:
        """Wait for a place, and decide when there is one: workers may have come and gone meanwhile."""

        async def decide() -> Decision:
            return await self.decide(self.renewed(asked))

        assert asked.client is not None
        return await self._room.wait(asked.client, asked.group.name, decide, self._judge)

    def renewed(self, asked: Asked) -> Asked:
        """The same with its group as it is now."""
        group = self._fleet.group(asked.model)
        return asked if group is None or group is asked.group else replace(asked, group=group)

    def _judge(self, decision: Decision) -> Verdict:
        full = saturated(decision, self._bound_s, self._clock())
        return Verdict(not full, decision.selection.candidate.uncached_tokens)


def choice_of(asked: Asked, decision: Decision) -> Choice:
    """The decision, as an attempt is made of it. Pure."""
    worker, selection = decision.worker, decision.selection
    candidate, prompt = selection.candidate, asked.prompts.get(worker.format)
    if prompt is None:
        return Choice(worker, selection.reason, worker.format, len(decision.candidates))
    return Choice(
        worker,
        selection.reason,
        worker.format,
        len(decision.candidates),
        prompt,
        prompt.tokens,
        candidate.cached_tokens,
        candidate.uncached_tokens,
        (candidate.queued_tokens + candidate.uncached_tokens) / candidate.prefill_rate,
        asked.stream,
    )


def at_owner(asked: Asked, owner: Worker, failed: Collection[Worker]) -> Choice:
    """The only worker that can serve it. Raises NoWorkerError. Pure."""
    if owner in failed or not owner.available():
        raise NoWorkerError
    prompt = asked.prompts.get(owner.format)
    return Choice(owner, "owner", owner.format, prompt_tokens=prompt.tokens if prompt is not None else 0)


def others_available(asked: Asked, tried: Collection[Worker]) -> bool:
    """Could a worker that was not tried take this request?"""
    return asked.owner is None and any(worker not in tried and worker.available() for worker in asked.group.workers)
