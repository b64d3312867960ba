"""One cell: engines made fresh, the arm's routers in front of them, sessions played, things happening on the way."""

import asyncio
import dataclasses
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from loadtests.evidence.rivals.arms import Arm, Tools, ready, running
from loadtests.evidence.rivals.loop import Loop, Users, looped, unanswered
from loadtests.evidence.rivals.pins import Pins
from loadtests.evidence.rivals.scenarios import SICK, Event, Scenario
from loadtests.evidence.rivals.sessions import lively, text, with_tools
from loadtests.harness.machine import Ticks
from loadtests.harness.processes import MODEL, Engine, Process
from loadtests.harness.usage import Usage
from loadtests.laboratory.replay.client import Client, Question
from loadtests.laboratory.replay.conversations import Ask, Conversation
from loadtests.laboratory.replay.engines import Sight, look
from loadtests.laboratory.replay.pace import Pace
from loadtests.laboratory.replay.player import Player, body_of
from loadtests.laboratory.replay.record import Record

UNLIMITED = 8_000_000
MAX_ANSWER_TOKENS = 48
PATIENCE_S = 60.0
TOOLS_PATIENCE_S = 300.0
"""Of a client that waits for its turn of a session, as common agents do."""
DRAIN_S = 15.0
"""Seconds after the measured time until turns that still wait are cut off."""
REFUSED_S = 20.0
"""How long a request is offered to routers that refuse connections, as a balancer does that waits for one."""
STOP_S = 10.0
"""A router that has not ended after it is killed."""
BURST = 40
BURST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Times:
    """The times of every cell, in seconds."""

    warmup_s: float
    measured_s: float
    max_think_s: float = 6.0
    ramp_s: float = 10.0

    def pace(self, sessions: int) -> Pace:
        return Pace(sessions=sessions, max_think_s=self.max_think_s, ramp_s=self.ramp_s)


@dataclass(frozen=True, slots=True)
class Played:
    """All that was seen of a cell."""

    records: Sequence[Record]
    """Records of the measured part, first turns included."""
    engines: Mapping[str, Sight]
    """What each engine counted in the measured part."""
    router_cores: float
    """CPU time of the arm's routers over the measured time."""
    cores: float
    """CPU time of engines, client and routers together over the measured time."""
    machine: str
    loop: Loop | None = None
    """The loop of a scenario with tools."""


class Stage:
    """One cell being played."""

    def __init__(self, scenario: Scenario, arm: Arm, engines: Sequence[Engine], tools: Tools) -> None:
        self._scenario, self._arm, self._engines, self._tools = scenario, arm, engines, tools
        self._pins = Pins({worker: scenario.speed_of(worker) for worker in range(len(engines))})
        self._rng = random.Random(5)
        self._routers: list[Process] = []
        self._restarting: Process | None = None
        self._back = asyncio.Event()
        """The router that was restarting serves again."""
        self._began = 0.0
        self._records: list[Record] = []
        self._waiting: dict[tuple[str, int], float] = {}
        """When what has no answer yet was asked, by session and turn."""
        self._users = Users()

    async def play(self, conversations: Sequence[Conversation], times: Times) -> Played:
        """From empty engines to the last answer. Raises NotReady when a router does not come up."""
        for worker in range(len(self._engines)):
            await self._fresh(worker)
        async with running(self._arm, self._engines, self._tools) as self._routers:
            self._began = time.perf_counter()
            patience_s = TOOLS_PATIENCE_S if self._scenario.tools else PATIENCE_S
            async with Client(patience_s, self._now) as self._client:
                return await self._played(conversations, times)

    async def _played(self, conversations: Sequence[Conversation], times: Times) -> Played:
        given = with_tools(conversations) if self._scenario.tools else conversations
        sessions = self._scenario.changed(lively(given, self._scenario.sessions, seed=3))
        player = Player(times.pace(self._scenario.sessions), self._send, self._records.append)
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(player.play(sessions, times.warmup_s + times.measured_s))
            await asyncio.sleep(times.warmup_s)
            before, ticks = await self._sights(), Ticks.now()
            cpu_s, all_cpu_s = self._cpu_s(), _own_cpu_s()
            for event in self._scenario.events:
                group.create_task(self._later(event))
            await asyncio.sleep(times.measured_s)
            used = max(0.0, self._cpu_s() - cpu_s) / times.measured_s
            cores = (_own_cpu_s() - all_cpu_s) / times.measured_s
            machine = Ticks.now().since(ticks)
            if self._scenario.tools:
                await self._cut(playing)
        after = await self._sights()
        counted = [record for record in self._records if record.asked_s >= times.warmup_s]
        sights = {url: sight.since(before[url]) if url in before else sight for url, sight in after.items()}
        return Played(counted, sights, used, cores, machine, self._loop(times))

    async def _cut(self, playing: asyncio.Task[None]) -> None:
        await asyncio.wait([playing], timeout=DRAIN_S)
        playing.cancel()
        await asyncio.wait([playing])
        self._records += unanswered(self._waiting, self._now())

    def _loop(self, times: Times) -> Loop | None:
        span = (times.warmup_s, times.warmup_s + times.measured_s)
        return looped(self._records, self._users, span) if self._scenario.tools else None

    async def _send(self, conversation: Conversation, turn: int, ask: Ask) -> Record:
        name = conversation.name
        if turn == 0:
            self._users.began(name)
        more = {"program_id": name} if self._arm.names_sessions else {}
        body = msgspec.json.encode(body_of(ask, MODEL, MAX_ANSWER_TOKENS, more))
        self._waiting[name, turn] = self._now()
        record = await self._ask(Question(name, turn, "", body, {"content-type": "application/json"}))
        del self._waiting[name, turn]
        if turn == conversation.turns - 1:
            await self._ended(name, turn)
        return record

    async def _ended(self, session: str, turn: int) -> None:
        self._pins.ended(session)
        self._users.ended(session, turn)
        if self._arm.releases:
            await self._routers[0].call("POST", "/programs/release", {"program_id": session})

    async def _ask(self, question: Question) -> Record:
        """To the session's worker, or a router at random of those that serve. Where none does, when one does again."""
        asked_s = self._now()
        while True:
            url = f"{(await self._target(question.session)).url}/v1/chat/completions"
            record = await self._client.ask(dataclasses.replace(question, url=url))
            if record.error != "no connection" or record.ended_s - asked_s > REFUSED_S:
                return record._replace(asked_s=asked_s)
            await asyncio.sleep(0.05)

    async def _target(self, session: str) -> Process:
        if not self._routers:
            return self._engines[self._pins.home(session)]
        serving = [router for router in self._routers if router is not self._restarting]
        if not serving:
            await self._back.wait()
        return self._rng.choice(serving or self._routers)

    async def _restart(self, router: Process) -> None:
        """Restart a router as behind a balancer that asks for readiness."""
        self._restarting = router
        self._back.clear()
        try:
            async with asyncio.timeout(STOP_S):
                await router.stop()
        except TimeoutError:
            router.kill()
        router.start()
        await ready(router, self._arm, self._engines)
        self._restarting = None
        self._back.set()

    async def _later(self, event: Event) -> None:
        await asyncio.sleep(event.at_s)
        if event.what == "restart":
            for router in self._routers:
                await self._restart(router)
        elif event.what == "burst":
            await self._burst()
        else:
            await self._sicken(event)

    async def _sicken(self, event: Event) -> None:
        engine = self._engines[SICK]
        if event.what in ("lose", "fail"):
            self._pins.down.add(SICK)
        if event.what == "lose":
            engine.kill()
        elif event.what == "regain":
            engine.start()
            await engine.wait_ready()
            await self._fresh(SICK)
        else:
            await engine.fault("status_500" if event.what == "fail" else "none")
        if event.what in ("regain", "heal"):
            self._pins.down.discard(SICK)

    async def _burst(self) -> None:
        """One new prefix, many questions, each a session of its own."""
        system = {"role": "system", "content": text(99, BURST_BYTES)}
        asks = [
            Ask(0.0, 32, {"messages": [system, {"role": "user", "content": f"Question {n}"}]}) for n in range(BURST)
        ]
        # Turn 99: no first turn of a session, which would not be counted.
        names = [Conversation(f"burst {n}", 0, None, lambda: iter(())) for n in range(BURST)]
        self._records += await asyncio.gather(*(self._send(n, 99, ask) for n, ask in zip(names, asks, strict=True)))

    def _now(self) -> float:
        """Seconds since the first session began."""
        return time.perf_counter() - self._began

    async def _fresh(self, worker: int) -> None:
        kv_tokens = UNLIMITED if self._arm.router == "oracle" else self._scenario.kv_tokens
        body = {"kv_tokens": kv_tokens, "speed": self._scenario.speed_of(worker)}
        status, said = await self._engines[worker].call("POST", "/emulator/restart", body)
        if status != 200:
            raise RuntimeError(f"{self._engines[worker].url} was not made fresh: {said}")
        await self._engines[worker].fault("none")

    async def _sights(self) -> Mapping[str, Sight]:
        return await look([engine.url for engine in self._engines if await engine.ready()])

    def _cpu_s(self) -> float:
        return sum(router.cpu_s() for router in self._routers)


def _own_cpu_s() -> float:
    return Usage(os.getpid()).cpu_ms() / 1000
