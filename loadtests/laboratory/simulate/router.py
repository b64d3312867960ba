"""One router under the virtual clock: the serving fleet, decider, sessions, line, leases, prompt records, breakers and
retry budget, with events in the place of sockets.

What is left out: the time that the router itself takes, the network, and the encoder (prompts are known exactly).
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import policies
from loadtests.engine.job import Job
from loadtests.laboratory.simulate.hosts import MODEL, Condition, Host
from loadtests.laboratory.simulate.shared import Mirror, View
from loadtests.laboratory.simulate.timeline import Timeline
from policies.api import Policy
from router.build.limits import line_limits
from router.build.tuning import DEFAULTS
from router.engines.probe import SCRAPE_INTERVAL_S
from router.fleet.breaker import Breaker
from router.fleet.cache_loss import CacheReport
from router.fleet.lease import Lease
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.observe.instruments import Histogram
from router.prefix.index import HASH_BYTES, Record
from router.prefix.residency import Limits
from router.relay.attempt import Attempt
from router.relay.retry import RATIO, AttemptOutcome, Next, RetryBudget, next_attempt
from router.routing.asked import Asked
from router.routing.choose import Chooser, choice_of, others_available
from router.routing.decide import Decider, Decision, NoWorkerError
from router.routing.fair_queue import Ticket
from router.routing.waiting_room import WaitingRoom
from router.sessions.admission.admission import SessionAdmission
from router.sessions.shared.fleet_book import FleetBook
from router.settings import Settings
from router.shadow.shadows import Shadowed, Shadows
from router.shadow.world import World
from router.wire.errors import ApiError
from tokenizer_cache.prompt import Prompt

NO_WORKER = "no_worker"
LOOK_S = 0.25
"""How often the line is looked at beside each end of a request. A serving router looks 25 times as often."""
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
    calls_tool: bool = False
    """Its answer will."""


class VirtualRouter:
    """Routes requests to hosts. `mirrors` are the other routers' ears."""

    def __init__(
        self, timeline: Timeline, hosts: Sequence[Host], build: Build, rng: random.Random, settings: Settings
    ) -> None:
        self._settings = settings
        self._timeline = timeline
        clock = timeline.clock
        limits = self._limits = Limits(max_blocks=1 << 40, pending_ttl_s=settings.first_byte_timeout_s)
        self.view = View(limits, clock)
        self.fleet = Fleet(
            lambda url, rank=0: Worker(url, Breaker(clock), settings.prefill_rate, clock, rank=rank),
            lambda call: call(),
            PrefillRates(settings.prefill_rate),
        )
        self.fleet.on_forget.append(self.view.remove_worker)
        self.fleet.on_groups.append(self._set_capacities)
        self.fleet.on_belief.append(self._set_capacity)
        self.admission = SessionAdmission(settings.session_wait_s, settings.host_kv_tokens, clock)
        self.book = FleetBook(self.admission, clock=clock)
        self.fleet.on_forget.append(self.admission.forget)
        room = WaitingRoom(line_limits(settings, DEFAULTS), clock, Histogram("wait", "", ("client", "reason")))
        self.line = room.line
        self.chooser = Chooser(self.fleet, Decider(build(rng), self.view, rng, clock), room, self.book, clock)
        self._looking = self._stirred = False
        self.budget = RetryBudget(RATIO, settings.max_attempts)
        self.mirrors: list[Mirror] = []
        self.shadows = Shadows({}, clock)
        self.hosts: dict[str, Host] = {}
        for host in hosts:
            self._watch(host)
        self.view.on_record.append(self._recorded)
        timeline.at(SCRAPE_INTERVAL_S * rng.random(), self._scrape, SCRAPE_INTERVAL_S)

    def shadow(self, names: Sequence[str]) -> None:
        """Decide each request by these policies too, from now on."""
        worlds = {}
        for name in names:
            rng = random.Random(name)
            worlds[name] = World(policies.build(name, rng), self._limits, rng)
        self.shadows = Shadows(worlds, self._timeline.clock)
        self.fleet.on_forget.append(self.shadows.remove_worker)
        self._set_capacities()

    def route(self, order: Order) -> None:
        """Dispatch a request, now or after a wait."""
        self.budget.request()
        group = self.fleet.groups[MODEL]
        prompts = {worker.format: order.prompt for worker in group.workers[:1]}
        asked = Asked(group=group, model=MODEL, session=order.session, stream=True, prompts=prompts)
        try:
            asked = self.chooser.with_turn(asked)
        except ApiError as error:
            order.ended(Try(self, order, None, (), f"status_{error.status}"))
            return
        self.attempt(order, asked, ())

    def attempt(self, order: Order, asked: Asked, failed: tuple[Worker, ...]) -> None:
        """Choose a worker and ask it, or stand in line."""
        try:
            decision = _now(self.chooser.decide(asked, failed))
        except NoWorkerError:
            order.ended(Try(self, order, None, failed))
            return
        waits = not failed and self.chooser.must_wait(asked, decision)
        if decision is not None and not waits and (failed or _now(self.chooser.reserve(asked, decision))):
            self._start(order, asked, decision, failed)
        else:
            self._wait(order, asked)

    def _start(self, order: Order, asked: Asked, decision: Decision, failed: tuple[Worker, ...]) -> None:
        attempt = Attempt(asked, choice_of(asked, decision), len(failed) + 1, self.view)
        Try(self, order, attempt, failed).start(self.hosts[attempt.worker.id])

    def _wait(self, order: Order, asked: Asked) -> None:
        search = self.chooser.search(asked)
        if search is not None and search.hopeless():
            order.ended(Try(self, order, None, (), "no_room"))
            return
        ticket, line = Ticket("", 1.0, MODEL, search), self.line

        def leave() -> None:
            line.leave(ticket)
            if search is not None:
                search.end()
            self._timeline.at(self._timeline.now, line.give)

        def try_it() -> None:
            if ticket.out or ticket.late:
                leave()
                order.ended(Try(self, order, None, (), "queue_full" if ticket.out else "queue_timeout"))
                return
            decision = _now(self.chooser.decide(self.chooser.renewed(asked)))
            verdict = self.chooser.judge(decision)
            if decision is None or not verdict.goes or not _now(self.chooser.reserve(asked, decision)):
                line.stay(ticket, try_it)
                return
            line.went(ticket, verdict.cost_tokens)
            leave()
            self._start(order, asked, decision, ())

        line.enter(ticket, try_it)
        self.stir()
        if not self._looking:
            self._looking = True
            self._timeline.at(self._timeline.now + LOOK_S, self._look_again)

    def stir(self) -> None:
        """Something has changed: whoever waits may go."""
        if len(self.line) and not self._stirred:
            self._stirred = True
            self._timeline.at(self._timeline.now, self._look)

    def _look(self) -> None:
        self._stirred = False
        self.line.look()

    def _look_again(self) -> None:
        self._looking = bool(len(self.line))
        if self._looking:
            self.line.look()
            self._timeline.at(self._timeline.now + LOOK_S, self._look_again)

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
            self._set_capacity(worker)

    def _set_capacity(self, worker: Worker) -> None:
        tokens = worker.pool.kept_tokens + self._settings.host_kv_tokens
        self.view.set_capacity(worker.holder, tokens // worker.chain_block_tokens)
        self.shadows.set_capacity(worker.holder, tokens // worker.chain_block_tokens)

    def _recorded(self, record: Record) -> None:
        for mirror in self.mirrors:
            mirror.record(record.holder.partition(".")[0], record)


class Try:
    """One attempt under the virtual clock (`attempt` is None when there was no worker to choose)."""

    def __init__(
        self,
        router: VirtualRouter,
        order: Order,
        attempt: Attempt | None,
        failed: tuple[Worker, ...],
        refused: str = NO_WORKER,
    ) -> None:
        self._router = router
        self._order = order
        self._attempt = attempt
        self._failed = failed
        self._echoes: list[tuple[Mirror, Lease]] = []
        self._shadowed: Shadowed | None = None
        self.kind = refused if attempt is None else ""
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
        if self._router.shadows and not self._failed:
            self._shadowed = self._router.shadows.begin(attempt.asked, choice)
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
        if self._shadowed is not None:
            self._router.shadows.end(self._shadowed, attempt.record, self.job.cached_tokens, self.job.answer_tokens)
        self._router.fleet.reported(attempt.worker, self._turn())
        if attempt.asked.turn is not None:
            attempt.asked.turn.learn(self._order.calls_tool, self.job.answer_tokens, self.job.cached_tokens)
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

    def _turn(self) -> CacheReport:
        prompt, job = self._order.prompt, self.job
        written = prompt.tokens - job.cached_tokens + job.answer_tokens
        start = prompt.chain[:HASH_BYTES]
        return CacheReport(
            start=start,
            start_tokens=prompt.block_tokens,
            client="",
            predicted_tokens=self.predicted_tokens,
            cached_tokens=job.cached_tokens,
            written_tokens=written,
            chain=prompt.chain,
            computed_tokens=prompt.tokens - job.cached_tokens,
            alone_s=self._running.lease.alone_s,
        )

    @property
    def _running(self) -> Attempt:
        assert self._attempt is not None
        return self._attempt

    def _leave(self) -> None:
        self._running.__exit__(None, None, None)
        for mirror, lease in self._echoes:
            mirror.end(lease)
        self._router.stir()


def _now(looking: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends."""
    try:
        looking.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise RuntimeError("the index waited, under a clock that does not")
