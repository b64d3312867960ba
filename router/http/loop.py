"""The loop that serves every request: read, recognise, decide or wait, attempt, relay, learn.

Each step takes and returns a value; what differs between kinds of requests is how one is read (a route) and how it is
carried to a worker and back (a carrier). What happens after an attempt is decided by `next_attempt` alone, for the
simulator too.
"""

import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from router.clients import Charge
from router.fleet.worker import Worker
from router.http.late_tokens import LateTokens
from router.http.lessons import Lessons, charge_of
from router.http.progress import Progress
from router.observe.metrics import Instruments
from router.prefix.index import PrefixIndex
from router.prompts.ask_usage import with_usage
from router.prompts.forward_ids import body_with_ids
from router.relay.attempt import Attempt
from router.relay.retry import AttemptOutcome, Next, RetryBudget, broke_off, gave_up, next_attempt
from router.routing.asked import Asked
from router.routing.choose import Choice, Chooser, at_owner, choice_of, others_available
from router.routing.decide import NoWorkerError
from router.routing.owners import ResponseOwners
from router.routing.recognition import Recognition, with_owner
from router.shadow.shadows import Shadows
from router.status.decisions import DecisionLog
from router.wire.exchange import Exchange
from router.wire.keep_alive import KeepAlive

R = TypeVar("R")


class Route(Protocol):
    """Reads one kind of request."""

    async def read(self, exchange: Exchange, body: bytes) -> Asked:
        """The request as it was read. Raises ApiError."""
        ...


class Carrier(Protocol[R]):
    """Carries a request to a worker, and the worker's answer back."""

    async def ask(self, exchange: Exchange, attempt: Attempt) -> AttemptOutcome[R]:
        """Send it, and wait for an answer of which nothing is passed on yet. Raises ApiError for what is no worker's
        fault."""
        ...

    async def relay(self, exchange: Exchange, attempt: Attempt, reply: R) -> AttemptOutcome[R]:
        """Pass the answer on, to its end. Raises ApiError while nothing of it was passed on."""
        ...


@dataclass(frozen=True, slots=True)
class Way(Generic[R]):
    """How one kind of request is served."""

    route: Route
    carrier: Carrier[R]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParts:
    """What a loop asks, tells and counts at its steps."""

    owners: ResponseOwners
    recognition: Recognition
    chooser: Chooser
    index: PrefixIndex
    late_tokens: LateTokens
    lessons: Lessons
    budget: RetryBudget
    instruments: Instruments
    policy_name: str
    forward_ids: bool
    """Send the prompt's ids along, where the engine takes them."""
    asks_usage: bool
    """Ask for the usage of streams whose clients do not."""
    keep_alive_s: float
    """How often a stream that waits shows that it is alive; 0: never."""
    decisions: DecisionLog
    shadows: Shadows


class Loop:
    """The loop of attempts. It keeps nothing between requests but the retry budget."""

    def __init__(self, parts: LoopParts) -> None:
        self._parts = parts

    async def serve(self, exchange: Exchange, way: Way[R], body: bytes, progress: Progress) -> str:
        """Answer one request. Returns how it ended. Raises ApiError."""
        parts, carrier = self._parts, way.carrier
        asked = progress.asked = await way.route.read(exchange, body)
        charge = charge_of(asked)
        parts.budget.request()
        failed: tuple[Worker, ...] = ()
        outcome: AttemptOutcome[R] = AttemptOutcome()
        answered: Attempt | None = None
        alive = KeepAlive(exchange, parts.keep_alive_s if asked.stream and exchange.api else 0)
        try:
            if asked.response_id:
                asked = await with_owner(asked, parts.owners)
            asked = progress.asked = parts.chooser.with_turn(await parts.recognition.complete(asked))
            while True:
                choice = await self._choose(asked, failed, outcome.kind, progress, alive)
                attempt = self._begin(asked, choice, charge, progress)
                with attempt:
                    parts.late_tokens.follow(attempt)
                    progress.dispatched_at = progress.dispatched_at or exchange.clock()
                    outcome = await carrier.ask(exchange, attempt)
                    step = self._next(outcome, attempt, failed)
                    if step is Next.ANSWER and outcome.reply is not None:
                        alive.stop()
                        progress.first_byte_at = outcome.first_byte_at
                        outcome = await carrier.relay(exchange, attempt, outcome.reply)
                        step = self._next(outcome, attempt, failed)
                if step is not Next.ANSWER:
                    attempt.blame(outcome.kind)
                if step is not Next.AGAIN:
                    break
                self._count_retry(outcome.kind)
                failed = (*failed, *attempt.worker.ranks)
                asked = parts.chooser.renewed(attempt.learnt())
            if step is Next.GIVE_UP:
                raise gave_up(outcome.kind)
            answered = attempt
            if step is Next.BREAK_OFF:
                raise broke_off(outcome.kind)
            return outcome.label
        finally:
            alive.stop()
            progress.lesson = parts.lessons.take(exchange, asked, charge, answered)
            if progress.shadowed is not None:
                usage, record = progress.lesson.usage, answered.record if answered is not None else None
                counts = (usage.cached_tokens, usage.completion_tokens) if usage is not None else (None, None)
                parts.shadows.end(progress.shadowed, record, *counts)

    async def _choose(
        self, asked: Asked, failed: tuple[Worker, ...], kind: str, progress: Progress, alive: KeepAlive
    ) -> Choice:
        """Decide, or wait for a worker first; a request that is tried again never waits. Raises ApiError where no
        worker is left after an attempt that failed with `kind`."""
        chooser = self._parts.chooser
        try:
            if asked.owner is not None:
                return at_owner(asked, asked.owner, failed)
            decision = await chooser.decide(asked, failed)
            waits = decision is None or (not failed and chooser.must_wait(asked, decision))
            if waits or decision is None or not (failed or await chooser.reserve(asked, decision)):
                began = time.monotonic()
                try:
                    decision = await chooser.wait(asked, alive)
                finally:
                    progress.queued_s = time.monotonic() - began
        except NoWorkerError:
            raise gave_up(kind) from None
        if asked.request is not None:
            self._parts.instruments.decisions.add(1, (self._parts.policy_name, decision.selection.reason))
            if self._parts.decisions.watched:
                self._parts.decisions.note(progress, asked, decision, chooser)
        return choice_of(asked, decision)

    def _begin(self, asked: Asked, choice: Choice, charge: Charge | None, progress: Progress) -> Attempt:
        """Take the lease before anything is awaited: the next decision must see this one."""
        parts, request = self._parts, asked.request
        progress.choice = choice
        progress.attempts += 1
        if parts.shadows and progress.attempts == 1 and choice.prompt is not None:
            progress.shadowed = parts.shadows.begin(asked, choice)
        body = asking = None
        if request is not None:
            if charge is not None:
                charge.set(choice.charged_tokens)
            if choice.source == "text":
                parts.instruments.degraded.add(1, ("text",))
            if parts.forward_ids and choice.prompt is not None:
                body = body_with_ids(request, choice.prompt, choice.worker.facts)
            if body is not None:
                parts.instruments.forwarded_ids.add(1, (asked.model,))
            if parts.asks_usage:
                asking = with_usage(request, body or request.body, choice.worker.facts)
        attempt = Attempt(asked, choice, progress.attempts, parts.index, asking or body)
        attempt.hides_usage = asking is not None
        progress.prompt = attempt.record
        return attempt

    def _next(self, outcome: AttemptOutcome[R], attempt: Attempt, failed: tuple[Worker, ...]) -> Next:
        others = bool(outcome.kind) and others_available(attempt.asked, (*failed, *attempt.worker.ranks))
        return next_attempt(outcome, attempt.number, others, self._parts.budget.left)

    def _count_retry(self, kind: str) -> None:
        self._parts.budget.spend(kind)
        self._parts.instruments.retries.add(1, (kind,))
