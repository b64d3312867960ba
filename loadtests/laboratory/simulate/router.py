"""One router under the virtual clock: the serving fleet, decider, leases, passages, breakers and retry budget, with
events in the place of sockets.

What is left out: the time that the router itself takes, the network, and the encoder (prompts are known exactly).
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
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
from router.relay.relay import RETRIED_STATUS, Choice
from router.relay.retry import RATIO, RetryBudget
from router.routing.decide import Decider, NoWorkerError, prefix_of
from router.routing.prompt_record import Passage
from router.settings import Settings
from tokenizer_cache.prompt import Prompt

NO_WORKER = "no_worker"
_RETRIED = frozenset({"connect", "reset", *(f"status_{status}" for status in RETRIED_STATUS)})
Result = TypeVar("Result")
Build = Callable[[random.Random], Policy]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as a router reads it."""

    prompt: Prompt
    session: bytes
    job: Callable[[], Job]
    """A fresh one for every attempt."""
    first_byte: Callable[["Attempt"], None]
    ended: Callable[["Attempt"], None]
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

    def route(self, asked: Asked) -> None:
        """Dispatch a request."""
        self.budget.request()
        self.attempt(asked, [])

    def attempt(self, asked: Asked, failed: list[Worker]) -> None:
        """Choose a worker and ask it."""
        group = self.fleet.groups[MODEL]
        prompts = {worker.format: asked.prompt for worker in group.workers[:1]}
        sight = _now(self.decider.look(group, prompts, failed))
        try:
            decision = self.decider.choose(sight, prompts, asked.session)
        except NoWorkerError:
            asked.ended(Attempt(self, asked, None, failed))
            return
        worker, candidate = decision.worker, decision.selection.candidate
        prefix = prefix_of(asked.prompt)
        lease = Lease(worker, asked.prompt.tokens, candidate.uncached_tokens, tells=True, prefix=prefix)
        passage = Passage(self.view, worker.holder, asked.prompt, candidate.cached_tokens)
        worker.breaker.begin()
        Attempt(self, asked, Choice(worker, lease, passage, 0.0), failed).start(self.hosts[worker.id])

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
            tokens = worker.kv_capacity_tokens + self._settings.host_kv_tokens
            self.view.set_capacity(worker.holder, tokens // worker.chain_block_tokens)

    def _recorded(self, record: Record) -> None:
        for mirror in self.mirrors:
            mirror.record(record.holder.partition(".")[0], record)


class Attempt:
    """One request at one worker (`choice` is None when there was none to choose)."""

    def __init__(self, router: VirtualRouter, asked: Asked, choice: Choice | None, failed: list[Worker]) -> None:
        self._router = router
        self._asked = asked
        self._choice = choice
        self._failed = failed
        self._echoes: list[tuple[Mirror, Lease]] = []
        self.kind = NO_WORKER if choice is None else ""
        """How it failed; empty when it was answered."""
        self.job = asked.job()

    @property
    def attempts(self) -> int:
        """How many workers were asked."""
        return len(self._failed) + (self._choice is not None)

    @property
    def host(self) -> Host | None:
        """The worker that was asked last."""
        return self._router.hosts[self._choice.worker.id] if self._choice is not None else None

    @property
    def predicted_tokens(self) -> int:
        """Tokens of the prompt that were believed to be cached."""
        passage = self._choice.passage if self._choice is not None else None
        return passage.predicted_tokens if passage is not None else 0

    def start(self, host: Host) -> None:
        """Count the request, record its prompt as pending, and send it."""
        choice = self._chosen
        choice.lease.__enter__()
        tokens, uncached = self._asked.prompt.tokens, self._asked.prompt.tokens - self.predicted_tokens
        self._echoes = [(mirror, mirror.lease(choice.worker.id, tokens, uncached)) for mirror in self._router.mirrors]
        if choice.passage is not None:
            choice.passage.dispatched()
        host.ask(self)

    def first_byte(self) -> None:
        """Prefill is done."""
        choice = self._chosen
        choice.computed()
        choice.worker.breaker.success()
        for mirror, lease in self._echoes:
            mirror.first_byte(lease)
        self._asked.first_byte(self)

    def finished(self) -> None:
        """The last token came."""
        choice = self._chosen
        self._leave()
        choice.worker.breaker.whole()
        if choice.passage is not None:
            choice.passage.finished(self.job.answer_tokens)
        self._router.fleet.reported(choice.worker, self._turn())
        self._asked.ended(self)

    def failed(self, kind: str) -> None:
        """The worker failed it: try another one while no byte has come."""
        choice, router = self._chosen, self._router
        begun = self.job.made > 0
        self._leave()
        choice.failed()
        if kind != "status_400":
            choice.blame(kind)
        self._failed.append(choice.worker)
        if begun or kind not in _RETRIED or not router.budget.allows(kind, len(self._failed)):
            self.kind = kind
            self._asked.ended(self)
            return
        router.budget.spend(kind)
        router.attempt(self._asked, self._failed)

    def _turn(self) -> Turn:
        prompt, job = self._asked.prompt, self.job
        written = prompt.tokens - job.cached_tokens + job.answer_tokens
        start = prompt.chain[:HASH_BYTES]
        return Turn(start, prompt.block_tokens, "", self.predicted_tokens, job.cached_tokens, written)

    @property
    def _chosen(self) -> Choice:
        assert self._choice is not None
        return self._choice

    def _leave(self) -> None:
        self._chosen.lease.__exit__(None, None, None)
        for mirror, lease in self._echoes:
            mirror.end(lease)


def _now(looking: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends."""
    try:
        looking.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("the index waited, under a clock that does not")
