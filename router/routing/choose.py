"""Where the next attempt goes: to the worker that owns the request, or to the one that the policy selects, now or after
a wait in the router.

`decide` awaits (the index); what follows is pure: `must_wait` and `choice_of` read the decision.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from router.fleet.groups import ModelGroup
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.routing.asked import Asked
from router.routing.decide import SMALL_FLEET, Decider, Decision, NoWorkerError, Sight
from router.routing.fair_queue import Ticket
from router.routing.saturation import FreeWorkers, saturated
from router.routing.waiting_room import Verdict, WaitingRoom
from router.sessions.recognition.turn import Turn
from router.sessions.shared.fleet_book import FleetBook
from router.wire.errors import ApiError, UnservedError
from router.wire.keep_alive import KeepAlive
from tokenizer_cache.prompt import Prompt

LEASES_S = 0.05
"""How often a turn that waits for room looks whether leases have ended."""
CLAIMS_S = 0.25
"""How often it asks that room be made for it."""
LEAST_TOO_LONG = 1024
"""No worker's memory is smaller than this many tokens: shorter prompts are not compared with it."""


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
    shows_prefill: bool = False
    """Its first byte shows the end of its prefill."""

    @property
    def source(self) -> str:
        """How the prompt's tokens are known."""
        return self.prompt.source if self.prompt is not None else ""

    @property
    def charged_tokens(self) -> int:
        """Tokens that a client pays for, as far as is known: what an owner has cached is not looked up."""
        return self.uncached_tokens if self.prompt is not None else self.prompt_tokens


class Chooser:
    """Decides, and knows when to wait."""

    def __init__(
        self,
        fleet: Fleet,
        decider: Decider,
        waiting_room: WaitingRoom,
        book: FleetBook,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._fleet = fleet
        self._decider = decider
        self._waiting_room = waiting_room
        self._admission = book.admission
        self._clock = clock
        self._bound_s = waiting_room.limits.bound_s
        self._free = FreeWorkers(self._bound_s, clock)

    def with_turn(self, asked: Asked) -> Asked:
        """The request with the session whose turn it is. Raises ApiError 400 for a prompt that no worker's KV memory
        holds."""
        for prompt in asked.prompts.values():
            if prompt.exact and prompt.tokens > LEAST_TOO_LONG and too_long(prompt, asked.group):
                message = f"The prompt's {prompt.tokens} tokens do not fit into the KV memory of any worker."
                raise ApiError(400, message, "context_length_exceeded")
        turn = self._admission.arrive(asked.group.name, asked.prompts, asked.stream, asked.hint)
        return asked if turn is None else replace(asked, turn=turn)

    async def decide(self, asked: Asked, failed: Collection[Worker] = ()) -> Decision | None:
        """Look and choose, without the workers that have `failed` the request; None if no worker has room for it.

        A request that has failed once goes to any worker, with room or without. Raises NoWorkerError."""
        return self.choose(asked, await self.look(asked, failed), bool(failed))

    async def look(self, asked: Asked, failed: Collection[Worker] = ()) -> Sight:
        """Find the workers that could serve the request, and what each holds of its prompt.

        If this router does not know the session, the other routers are asked in the same round trip."""
        fresh = self._book.refresh(asked.turn)
        sight = await self._decider.look(asked.group, asked.prompts, failed)
        if fresh is not None and not fresh.done():
            await asyncio.wait((fresh,))
        self._book.recognise(asked.turn)
        return sight

    async def reserve(self, asked: Asked, decision: Decision) -> bool:
        """Tell the other routers of the room that the request takes; False if one of them has taken it meanwhile.

        The attempt must begin before anything else is awaited."""
        self._free.taken(decision.worker)
        return await self._book.reserve(asked.turn, decision.worker)

    def choose(self, asked: Asked, sight: Sight, anywhere: bool = False) -> Decision | None:
        """The decision on what was seen; None if no worker has room for the turn. `anywhere`: room does not count.

        Pure but for the policy's own counters."""
        workers: Sequence[Worker] = sight.workers
        if asked.turn is not None and not anywhere and workers:
            workers = self._admission.workers_for(asked.turn, workers)
            if not workers and len(sight.workers) < len(asked.group.workers):  # a sample of a large fleet
                workers = self._admission.workers_for(asked.turn, available(asked.group))[:SMALL_FLEET]
            if not workers:
                return None
        return self._decider.choose(Sight(workers, sight.held), asked.prompts, asked.session)

    def costs(self, asked: Asked, decision: Decision) -> list[float]:
        """The policy's cost for each candidate of `decision`: to explain it."""
        return self._decider.costs(decision, asked.prompts, asked.session)

    def must_wait(self, asked: Asked, decision: Decision | None) -> bool:
        """Is there no room, is every worker saturated, or does another request wait already?

        A request without a prompt never waits. Nor does a turn whose memory is kept, while others wait for room."""
        if decision is None:
            return True
        if not asked.prompts:
            return False
        crowded = self._waiting_room.crowded(asked.group.name)
        if not (crowded or (self._bound_s and saturated(decision, self._bound_s, self._clock()))):
            return False
        return not self._admission.pinned(asked.turn)

    async def wait(self, asked: Asked, alive: KeepAlive) -> Decision:
        """Wait in line, and decide when a worker can take the request: workers may have come and gone meanwhile.

        `alive` tells the client how many are before it. Raises ClientError, and UnservedError for a new session when
        there are too many."""

        verdict = Verdict(False, 0)

        async def decide() -> Decision | None:
            nonlocal verdict
            decision = await self.decide(self.renewed(asked))
            verdict = self.judge(decision)
            if decision is not None and verdict.goes and not await self.reserve(asked, decision):
                verdict = Verdict(False, 0)
            return decision

        search = self.search(asked)
        ticket = ticket_of(asked, search)
        back = self._waiting_room.comes_back(ticket)
        if search is not None and back:
            search.came(ticket.came)
        elif search is not None and search.hopeless(partial(self._waiting_room.line.part, ticket)):
            self._admission.refused += 1
            raise no_room(search.round_s()).behind(len(self._waiting_room))
        alive.before = partial(self._waiting_room.line.before, ticket)
        try:
            decision = await self._waiting_room.wait(ticket, decide, lambda _: verdict)
        finally:
            alive.before = None
            if search is not None:
                search.end()
        assert decision is not None
        return decision

    def search(self, asked: Asked) -> "Search | None":
        """A search for room in the workers' KV memory; None for a request that needs none. The caller must end it."""
        if asked.turn is None:
            return None
        return Search(self._book, self._fleet, self._free, asked, asked.turn, self._clock)

    def renewed(self, asked: Asked) -> Asked:
        """The request with its model's workers as they are now."""
        group = self._fleet.group(asked.model)
        return asked if group is None or group is asked.group else replace(asked, group=group)

    def judge(self, decision: Decision | None) -> Verdict:
        """May the request go as decided, and how many uncached tokens does it cost?"""
        if decision is None:
            return Verdict(False, 0)
        full = bool(self._bound_s) and saturated(decision, self._bound_s, self._clock())
        return Verdict(not full, decision.selection.candidate.uncached_tokens)


def ticket_of(asked: Asked, search: "Search | None") -> Ticket:
    """The ticket that stands in line for a request."""
    assert asked.client is not None
    turn = asked.request.turn if asked.request is not None else b""
    patient = search is not None and search.patient
    client, group = asked.client, asked.group.name
    tokens = asked.turn.wanted.tokens if asked.turn is not None else 0
    return Ticket(client.label, client.weight, group, search, asked.level, patient, tokens=tokens, turn=turn)


class Search:
    """One turn's search for room."""

    def __init__(  # noqa: PLR0913 - what it looks at, and for whom
        self,
        book: FleetBook,
        fleet: Fleet,
        free: FreeWorkers,
        asked: Asked,
        turn: Turn,
        clock: Callable[[], float],
    ) -> None:
        self._free = free
        self._clock = clock
        self._book = book
        self._admission = book.admission
        self._fleet = fleet
        self._asked = asked
        self._turn = turn
        self.patient = turn.known
        self.stalled = False
        """At the last look every worker was saturated."""
        self._seen = -1
        self._again_at = self._claims_at = -math.inf

    @property
    def waited(self) -> bool:
        """A look has found no room for the turn."""
        return self._turn.waited

    def came(self, at: float) -> None:
        """The same turn has waited before: its wait began at `at`."""
        self._turn.arrived_at = at

    def found(self) -> bool:
        """Is there room now? Also True where no worker is left, because then there is nothing to wait for.

        Looks again only when something has changed, or after `LEASES_S`."""
        admission, now = self._admission, self._clock()
        self._book.notice(self._turn)
        if admission.changes == self._seen and now < self._again_at:
            return False
        workers = self._workers()
        found = not workers or admission.has_room(self._turn, workers)
        if not found:
            admission.wait(self._turn)
            self._seen, self._again_at = admission.changes, now + LEASES_S
        return found

    def begins(self) -> bool:
        """Would a worker that has room for the turn begin it soon? Also True where no worker is left."""
        workers = self._workers()
        free = self._free.of(self._turn.group, workers)
        self.stalled = bool(workers) and not free
        return not workers or self._admission.has_room(self._turn, free)

    def claim(self) -> bool:
        """Have room made, once the turn has waited for long enough. False if that was tried a moment ago."""
        now = self._clock()
        if now < self._claims_at:
            return False
        self._claims_at = now + CLAIMS_S
        self._admission.claim(self._turn, self._workers())
        return True

    def hopeless(self, part: Callable[[], float] = lambda: 1.0) -> bool:
        """Is this a new session for which there is no room, and do too many wait already? `part`: see
        `SessionAdmission.too_many`; it goes through the whole line, so it is asked last."""
        workers, turn, admission = self._workers(), self._turn, self._admission
        if not admission.too_many(turn, workers) or admission.has_room(turn, workers):
            return False
        return admission.too_many(turn, workers, part())

    def round_s(self) -> float:
        """Seconds in which the workers compute all that waits for room."""
        return self._admission.round_s(self._turn.group, self._workers())

    def end(self) -> None:
        """The turn has found room, or looks for it no more."""
        self._admission.go(self._turn)

    def _workers(self) -> list[Worker]:
        return available(self._fleet.group(self._asked.model) or self._asked.group)


def too_long(prompt: Prompt, group: ModelGroup) -> bool:
    """Does the prompt need more KV memory than every worker has?"""
    return bool(group.workers) and all(0 < worker.pool.capacity_tokens < prompt.tokens for worker in group.workers)


def available(group: ModelGroup) -> list[Worker]:
    """The workers that may be given a request now."""
    return [worker for worker in group.workers if worker.available()]


def no_room(round_s: float) -> UnservedError:
    """A new session's error: the fleet's memory is promised to others for longer than a client should wait."""
    message = "Too many sessions share the workers' KV memory at the moment."
    return UnservedError("no_room", 503, message, "no_room", min(60, max(1, round(round_s))))


def choice_of(asked: Asked, decision: Decision) -> Choice:
    """The choice that carries out a decision. Pure."""
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
