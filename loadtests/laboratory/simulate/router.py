"""One router under the virtual clock: the serving fleet, decider, leases, prompt records, breakers and retry budget,
with events in the place of sockets.

What is left out: the time that the router itself takes, the network, and the encoder (prompts are known exactly).
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from loadtests.engine.job import Job
from loadtests.laboratory.simulate.hosts import MODEL, Condition, Host
from loadtests.laboratory.simulate.shared import Mirror, View
from loadtests.laboratory.simulate.timeline import Timeline
from policies.api import Policy
from router.engines.probe import SCRAPE_INTERVAL_S
from router.fleet.breaker import Breaker
from router.fleet.cache_loss import Turn
from router.fleet.lease import Lease
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.index import HASH_BYTES, Record
from router.prefix.residency import Limits
from router.relay.attempt import Attempt
from router.relay.retry import RATIO, AttemptOutcome, Next, RetryBudget, next_attempt
from router.routing.asked import Asked
from router.routing.choose import choice_of, others_available
from router.routing.decide import Decider, NoWorkerError
from router.settings import Settings
from tokenizer_cache.prompt import Prompt

NO_WORKER = "no_worker"
Result = TypeVar("Result")
Build = Callable[[random.Random], Policy]


@dataclass(frozen=True, slots=True)
class Order:
    """One request, as a client makes it."""

    prompt: Prompt
    session: bytes
    job: Callable[[], Job]
    """A fresh one for every attempt."""
    first_byte: Callable[["Try"], None]
    ended: Callable[["Try"], None]
    """Finished or failed for good."""


class VirtualRouter:
    """Routes requests to hosts. `mirrors` are the other routers' ears."""

    def __init__(
        self, timeline: Timeline, hosts: Sequence[Host], build: Build, rng: random.Random, settings: Settings
    ) -> None:
        self._settings = settings
        self._timeline = timeline
        clock = timeline.clock
        limits = Limits(max_blocks=1 << 40, pending_ttl_s=settings.first_byte_timeout_s)
        self.view = View(limits, clock)
        self.fleet = Fleet(
            lambda url: Worker(url, Breaker(clock), settings.prefill_rate, clock),
            lambda call: call(),
            PrefillRates(settings.prefill_rate),
        )
        self.fleet.on_forget.append(self.view.remove_worker)
        self.fleet.on_groups.append(self._set_capacities)
        self.decider = Decider(build(rng), self.view, rng, clock)
        self.budget = RetryBudget(RATIO, settings.max_attempts)
        self.mirrors: list[Mirror] = []
        self.hosts: dict[str, Host] = {}
        for host in hosts:
            self._watch(host)
        self.view.on_record.append(self._recorded)
        timeline.at(SCRAPE_INTERVAL_S * rng.random(), self._scrape, SCRAPE_INTERVAL_S)

    def route(self, order: Order) -> None:
        """Dispatch a request."""
        self.budget.request()
        group = self.fleet.groups[MODEL]
        prompts = {worker.format: order.prompt for worker in group.workers[:1]}
        self.attempt(order, Asked(group=group, session=order.session, stream=True, prompts=prompts), ())

    def attempt(self, order: Order, asked: Asked, failed: tuple[Worker, ...]) -> None:
        """Choose a worker and ask it."""
        sight = _now(self.decider.look(asked.group, asked.prompts, failed))
        try:
            decision = self.decider.choose(sight, asked.prompts, asked.session)
        except NoWorkerError:
            order.ended(Try(self, order, None, failed))
            return
        attempt = Attempt(asked, choice_of(asked, decision), len(failed) + 1, self.view)
        Try(self, order, attempt, failed).start(self.hosts[attempt.worker.id])

    def _watch(self, host: Host) -> None:
        worker = self.fleet.add(host.url)
        self.hosts[worker.id] = host

        def probe() -> None:
            if host.condition is Condition.AWAY:
                self.fleet.on_unhealthy(worker.id, "it does not listen")
            else:
                self.fleet.on_facts(worker.id, host.facts())
                self.fleet.on_healthy(worker.id)

        probe()
        host.on_change.append(probe)

    def _scrape(self, interval_s: float) -> None:
        for worker_id, host in self.hosts.items():
            if host.condition is not Condition.AWAY:
                self.fleet.on_load(worker_id, host.load())
        self._timeline.at(self._timeline.now + interval_s, self._scrape, interval_s)

    def _set_capacities(self) -> None:
        for worker in self.fleet.workers.values():
            tokens = worker.pool.capacity_tokens + self._settings.host_kv_tokens
            self.view.set_capacity(worker.holder, tokens // worker.chain_block_tokens)

    def _recorded(self, record: Record) -> None:
        for mirror in self.mirrors:
            mirror.record(record.holder.partition(".")[0], record)


class Try:
    """One attempt under the virtual clock (`attempt` is None when there was no worker to choose)."""

    def __init__(
        self, router: VirtualRouter, order: Order, attempt: Attempt | None, failed: tuple[Worker, ...]
    ) -> None:
        self._router = router
        self._order = order
        self._attempt = attempt
        self._failed = failed
        self._echoes: list[tuple[Mirror, Lease]] = []
        self.kind = NO_WORKER if attempt is None else ""
        """How it failed; empty when it was answered."""
        self.job = order.job()

    @property
    def attempts(self) -> int:
        """How many workers were asked."""
        return len(self._failed) + (self._attempt is not None)

    @property
    def host(self) -> Host | None:
        """The worker that was asked last."""
        return self._router.hosts[self._attempt.worker.id] if self._attempt is not None else None

    @property
    def predicted_tokens(self) -> int:
        """Tokens of the prompt that were believed to be cached."""
        return self._attempt.choice.cached_tokens if self._attempt is not None else 0

    def start(self, host: Host) -> None:
        """Count the request, record its prompt as pending, and send it."""
        attempt = self._running.__enter__()
        choice, record = attempt.choice, attempt.record
        tokens, uncached = choice.prompt_tokens, choice.uncached_tokens
        self._echoes = [(mirror, mirror.lease(attempt.worker.id, tokens, uncached)) for mirror in self._router.mirrors]
        if record is not None:
            record.dispatched()
        host.ask(self)

    def first_byte(self) -> None:
        """Prefill is done."""
        self._running.answered(HTTPStatus.OK)
        for mirror, lease in self._echoes:
            mirror.first_byte(lease)
        self._order.first_byte(self)

    def finished(self) -> None:
        """The last token came."""
        attempt = self._running
        self._leave()
        attempt.worker.breaker.whole()
        if attempt.record is not None:
            attempt.record.finished(self.job.answer_tokens)
        self._router.fleet.reported(attempt.worker, self._turn())
        self._order.ended(self)

    def failed(self, outcome: AttemptOutcome[None]) -> None:
        """The worker did not answer as it should: what the router would do now."""
        attempt, router = self._running, self._router
        if self.job.made > 0:
            outcome = AttemptOutcome(outcome.kind, started=True)
        tried = (*self._failed, attempt.worker)
        others = others_available(attempt.asked, tried)
        step = next_attempt(outcome, attempt.number, others, router.budget.left)
        if step is Next.ANSWER:
            attempt.answered(outcome.status)
        self._leave()
        if step is not Next.ANSWER:
            attempt.blame(outcome.kind)
        if step is Next.AGAIN:
            router.budget.spend(outcome.kind)
            router.attempt(self._order, attempt.asked, tried)
            return
        self.kind = outcome.kind or f"status_{outcome.status}"
        self._order.ended(self)

    def _turn(self) -> Turn:
        prompt, job = self._order.prompt, self.job
        written = prompt.tokens - job.cached_tokens + job.answer_tokens
        start = prompt.chain[:HASH_BYTES]
        return Turn(start, prompt.block_tokens, "", self.predicted_tokens, job.cached_tokens, written)

    @property
    def _running(self) -> Attempt:
        assert self._attempt is not None
        return self._attempt

    def _leave(self) -> None:
        self._running.__exit__(None, None, None)
        for mirror, lease in self._echoes:
            mirror.end(lease)


def _now(looking: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends."""
    try:
        looking.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("the index waited, under a clock that does not")
