"""One arm in one scenario under one seed, from the first session to the last answer."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import policies
from loadtests.engine.job import Job
from loadtests.engine.scheduler import tier_of
from loadtests.laboratory.simulate import oracle
from loadtests.laboratory.simulate.hosts import Host
from loadtests.laboratory.simulate.outcomes import Outcome, Summary, summary
from loadtests.laboratory.simulate.pace import cold_s
from loadtests.laboratory.simulate.router import Build, Order, Try, VirtualRouter
from loadtests.laboratory.simulate.scenario import Scenario
from loadtests.laboratory.simulate.sessions import Session
from loadtests.laboratory.simulate.shared import Later, Mirror, SharedSessions, ToldBatch
from loadtests.laboratory.simulate.timeline import Timeline
from loadtests.laboratory.simulate.traffic import Start
from loadtests.laboratory.traces.script import BLOCK_TOKENS
from router.settings import Settings

BEAT_S = 0.25
"""Seconds between two batches of a router that has nothing new to tell of sessions."""
ERROR_PAUSE_S = 1.0
"""A client that got an error goes on after this, with its next turn."""


class Run:
    """Everything of one run. Traffic, routers and policies draw from generators of their own, all from one seed, so
    that arms under equal seeds meet equal traffic."""

    def __init__(self, scenario: Scenario, arm: str, seed: int) -> None:
        self.scenario = scenario.unlimited() if arm == oracle.NAME else scenario
        self.outcomes: list[Outcome] = []
        self._timeline = Timeline()
        self._traffic_rng = random.Random(f"traffic {seed}")
        self._rng = random.Random(f"routers {seed}")
        self._oracle = oracle.Oracle(random.Random(seed))
        build: Build = (lambda _: self._oracle) if arm == oracle.NAME else builder(arm)
        timeline = self._timeline
        profiles = self.scenario.profiles
        shared = tier_of(profiles[0]) if scenario.shared_tier else None
        self.hosts = [Host(timeline, number, profile, shared) for number, profile in enumerate(profiles)]
        for host in self.hosts:
            host.says = scenario.says
        count = scenario.routers.count
        settings = Settings(
            host_kv_tokens=scenario.host_kv_tokens,
            session_wait_s=scenario.session_wait_s,
            queue_timeout_s=scenario.queue_timeout_s,
        )
        self._routers = [
            VirtualRouter(timeline, self.hosts, build, random.Random(f"{n} {seed}"), settings) for n in range(count)
        ]
        if not scenario.routers.private:
            self._introduce()
        self._extra = {start.session.name for start in scenario.extra}
        self._seen: set[int] = set()
        self._busy_before: list[float] = []
        self._ends_s = math.inf if scenario.mix.once else scenario.warm_s + scenario.measured_s
        self._left = 0
        """Measured requests that have not ended."""
        self._sessions_over = 0

    @property
    def routers(self) -> Sequence[VirtualRouter]:
        """Those that requests are spread over."""
        return self._routers

    @property
    def timeline(self) -> Timeline:
        """Its clock, and what is due."""
        return self._timeline

    def play(self, on_request: Callable[[], None] = lambda: None) -> Summary:
        """Run it all. `on_request` is called at every arrival."""
        scenario, timeline = self.scenario, self._timeline
        self._on_request = on_request
        self._await(scenario.mix.starts(scenario.requests_per_s, scenario.warm_s * 0.6, self._traffic_rng))
        for start in scenario.extra:
            timeline.at(scenario.warm_s + start.at_s, self._request, start.session.again())
        for change in scenario.changes:
            timeline.at(scenario.warm_s + change.at_s, self.hosts[change.worker].become, change.condition)
        if scenario.mix.once:
            while self._sessions_over < len(scenario.mix.scripts) and timeline.step():
                pass
            return summary(self.outcomes, timeline.now, [host.engine.busy_s for host in self.hosts], timeline.now)
        timeline.run(scenario.warm_s)
        self._busy_before = [host.engine.busy_s for host in self.hosts]
        timeline.run(self._ends_s)
        busy_s = [host.engine.busy_s - before for host, before in zip(self.hosts, self._busy_before, strict=True)]
        while self._left and timeline.now < self._ends_s + scenario.patience_s and timeline.step():
            pass
        measured = [outcome for outcome in self.outcomes if outcome.measured]
        return summary(measured, scenario.measured_s, busy_s, timeline.now)

    def _introduce(self) -> None:
        staleness_s = self.scenario.routers.staleness_s

        def later(call: Callable[[], None]) -> None:
            self._timeline.at(self._timeline.now + staleness_s, call)

        for router in self._routers:
            router.mirrors = [Mirror(other.view, other.fleet, later) for other in self._routers if other is not router]
        if len(self._routers) > 1 and self.scenario.session_wait_s:
            self._share_sessions(later)

    def _share_sessions(self, later: Later) -> None:
        stream: list[ToldBatch] = []
        clock = self._timeline.clock
        ends = [SharedSessions(n, each.book, stream, later, clock) for n, each in enumerate(self._routers)]

        def beat() -> None:
            for end in ends:
                end.beat()
            self._timeline.at(self._timeline.now + BEAT_S, beat)

        for end in ends:
            end.others = [other for other in ends if other is not end]
        beat()

    def _await(self, starts: Iterator[Start]) -> None:
        start = next(starts, None)
        if start is not None:
            self._timeline.at(start.at_s, self._begin, start, starts)

    def _begin(self, start: Start, starts: Iterator[Start]) -> None:
        self._await(starts)
        self._request(start.session)

    def _request(self, session: Session) -> None:
        self._on_request()
        turn, now = session.now, self._timeline.now
        ideal = self._ideal_tokens(session)
        least_s = cold_s(self.scenario.profiles[-1], turn.prompt_tokens, ideal)
        measured = self.scenario.warm_s <= now < self._ends_s
        measured = measured and (not self.scenario.extra_only or session.name in self._extra)
        outcome = Outcome(now, turn.prompt_tokens, turn.answer_tokens, ideal, least_s, measured, session.script.name)
        outcome.user, outcome.last = session.user, session.turn == len(session.script.turns) - 1
        self.outcomes.append(outcome)
        self._left += measured

        def first_byte(attempt: Try) -> None:
            outcome.first_byte, job = self._timeline.now, attempt.job
            outcome.cached_tokens, outcome.loaded_tokens = job.cached_tokens, job.loaded_tokens
            outcome.predicted_tokens = attempt.predicted_tokens

        def ended(attempt: Try) -> None:
            self._left -= measured
            self._ended(session, outcome, attempt)

        def job() -> Job:
            made = session.job()
            made.use_cache = self.scenario.prefix_caching
            return made

        name = session.name if self.scenario.sessions_named else b""
        order = Order(session.prompt(), name, job, first_byte, ended, turn.calls_tool)
        routers = self._routers
        routers[int(self._rng.random() * len(routers))].route(order)

    def _ended(self, session: Session, outcome: Outcome, attempt: Try) -> None:
        outcome.error, outcome.attempts = attempt.kind, attempt.attempts
        outcome.preempted = attempt.job.preempted
        outcome.worker = attempt.host.url if attempt.host is not None else ""
        if not attempt.kind:
            outcome.ended = self._timeline.now
        session.advance()
        if session.over:
            self._sessions_over += 1
            self._oracle.ended(session.name)
            self._await(iter(filter(None, [self.scenario.mix.after(session, self._timeline.now, self._traffic_rng)])))
            return
        pause_s = session.now.think_s + (ERROR_PAUSE_S if attempt.kind else 0.0)
        next_at = self._timeline.now + pause_s
        if self.scenario.mix.once:  # a faster answer brings no turn sooner: all fleets meet the same traffic
            next_at = max(next_at, session.due_s)
        self._timeline.at(next_at, self._request, session)

    def _ideal_tokens(self, session: Session) -> int:
        """What an infinite cache would hold of the prompt, as an engine counts it; then it holds the prompt."""
        chain, seen = session.chain, self._seen
        known = _known(chain, seen)
        seen.update(chain[known:])
        return min(known, (session.now.prompt_tokens - 1) // BLOCK_TOKENS) * BLOCK_TOKENS


def _known(chain: list[int], seen: set[int]) -> int:
    """How many of the chain's blocks were seen, by bisection: with one all before it were."""
    low, high = 0, len(chain)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if chain[middle] in seen else (low, middle)
    return low


def builder(arm: str) -> Build:
    """What builds the policy of this name."""
    return lambda rng: policies.build(arm, rng)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a process of a sweep is given."""

    scenario: Scenario
    arm: str
    seed: int


def play(cell: Cell) -> Summary:
    """One run, for use in another process."""
    return Run(cell.scenario, cell.arm, cell.seed).play()
