"""Simulates fleets in trouble and writes down all that their routers were told, in order of time."""

import dataclasses
import gzip
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.hosts import Change, Condition
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from loadtests.laboratory.simulate.traffic import Mix
from loadtests.laboratory.simulate.traps import burst, shared_system_prompt
from router.engines import Facts, Load
from router.fleet.breaker import Breaker, Fault
from router.fleet.cache_loss import CacheReport
from router.fleet.groups import ModelGroup
from router.fleet.lease import Lease
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.index import HASH_BYTES
from router.routing.decide import Decider, Sight
from tests.loadtests.laboratory.simulate.scripts import growing
from tests.router.routing.recorded.replay import EVENTS, Row
from tokenizer_cache.prompt import Prompt


class Tape:
    """What one simulated router is told. Its workers and its model get names that begin with `name`."""

    def __init__(self, name: str) -> None:
        self.rows: list[Row] = []
        self.clock: Callable[[], float] = lambda: 0.0
        self._name = name
        self._leases: dict[Lease, int] = {}
        self._urls: dict[str, str] = {}
        self._breakers: dict[Breaker, str] = {}
        self._holders: dict[str, str] = {}
        self._looked: tuple[Collection[Worker], Mapping[str, Any]] = ((), {})
        self._troubled: set[Breaker] = set()

    def write(self, kind: str, *told: Any) -> None:
        self.rows.append([kind, self.clock(), *told])

    def named(self, worker: Worker) -> str:
        self._holders[worker.holder] = name = f"{self._name}{worker.url.rpartition('-')[2]}"
        self._breakers[worker.breaker] = name
        return name

    # The methods below have the arguments of those that they listen to.

    def on_facts(self, its: Fleet, worker_id: str, facts: Facts) -> None:
        told = (self._name, facts.block_tokens, facts.kv_capacity_tokens, facts.generation)
        self.write("facts", self.named(its.workers[worker_id]), *told)

    def on_healthy(self, its: Fleet, worker_id: str) -> None:
        self.write("healthy", self.named(its.workers[worker_id]))

    def on_unhealthy(self, its: Fleet, worker_id: str, reason: str) -> None:
        self.write("unhealthy", self.named(its.workers[worker_id]))

    def on_load(self, its: Fleet, worker_id: str, load: Load) -> None:
        self.write("load", self.named(its.workers[worker_id]), *dataclasses.astuple(load))

    def reported(self, its: Fleet, worker: Worker, turn: CacheReport) -> None:
        self.write("report", self.named(worker), turn.start.hex(), *turn[1:])

    def enter(self, its: Lease) -> None:
        self._leases[its] = number = len(self._leases)
        told = (its._prefix.hex(), its.prompt_tokens, its._queued_tokens, its._tells)
        self.write("lease", number, self.named(its.worker), *told)

    def first_byte(self, its: Lease) -> None:
        self.write("first_byte", self._leases[its])

    def leave(self, its: Lease, *exc: object) -> None:
        self.write("end", self._leases[its])

    def failure(self, its: Breaker, fault: Fault) -> None:
        self._troubled.add(its)
        self.write("failure", self._breakers[its], fault.value)

    def begin(self, its: Breaker) -> None:
        self._verdict("begin", its)

    def success(self, its: Breaker) -> None:
        self._verdict("success", its)

    def whole(self, its: Breaker) -> None:
        self._verdict("whole", its)

    def _verdict(self, kind: str, breaker: Breaker) -> None:
        """Of a breaker that never counted a fault these change nothing."""
        if breaker in self._troubled:
            self.write(kind, self._breakers[breaker])

    def look(self, its: Decider, group: ModelGroup, prompts: Mapping[str, Prompt], excluded: Any = ()) -> None:
        self._looked = (list(excluded), prompts)

    def choose(self, its: Decider, sight: Sight, prompts: Mapping[str, Prompt], session: bytes = b"") -> None:
        (prompt,) = prompts.values()
        failed = [self.named(worker) for worker in self._looked[0]]
        held = {self._holders[name]: held.pending_blocks for name, held in sight.held.items() if name in self._holders}
        prompt_of = (prompt.tokens, prompt.chain[:HASH_BYTES].hex())
        self.write("ask", self._name, prompt_of, session.hex(), failed, held)


LISTENED: tuple[tuple[type, str, str], ...] = (
    (Fleet, "on_facts", "on_facts"),
    (Fleet, "on_healthy", "on_healthy"),
    (Fleet, "on_unhealthy", "on_unhealthy"),
    (Fleet, "on_load", "on_load"),
    (Fleet, "reported", "reported"),
    (Lease, "__enter__", "enter"),
    (Lease, "first_byte", "first_byte"),
    (Lease, "__exit__", "leave"),
    (Breaker, "begin", "begin"),
    (Breaker, "success", "success"),
    (Breaker, "whole", "whole"),
    (Breaker, "failure", "failure"),
    (Decider, "look", "look"),
    (Decider, "choose", "choose"),
)


@contextmanager
def listening(tape: Tape) -> Iterator[None]:
    """Every call of those methods is written to the tape before it is made."""
    with ExitStack() as stack:
        for owner, method, told in LISTENED:
            tell, real = getattr(tape, told), getattr(owner, method)

            def heard(its: Any, *args: Any, tell: Any = tell, real: Any = real, **more: Any) -> Any:
                tell(its, *args, **more)
                return real(its, *args, **more)

            stack.enter_context(patch.object(owner, method, heard))
        yield


def recorded(name: str, scenario: Scenario) -> list[Row]:
    """What the router of this scenario is told under the default policy."""
    tape = Tape(name)
    with listening(tape):
        run = Run.__new__(Run)
        tape.clock = lambda: run._timeline.now if hasattr(run, "_timeline") else 0.0
        run.__init__(scenario, "expected_ttft", 1)  # type: ignore[misc]
        run.play()
    print(name, sum(row[0] == "ask" for row in tape.rows), "decisions in", round(tape.rows[-1][1]), "s")
    return tape.rows


def scenarios() -> dict[str, Scenario]:
    """Short of memory with failures and restarts; a burst; a fleet of which each decision sees a sample; overload."""
    large = dataclasses.replace(PROFILES["qwen3-32b-2xh100"], max_model_len=60_000)
    steady = Mix(growing(30))
    tight = Scenario("tight", steady, 25.0, fleet(PROFILES["demo"], 6, steady, 25.0, 1.6), requests=500)
    trouble = [(2.0, 0, "AWAY"), (5.0, 0, "WELL"), (6.0, 1, "FAILS"), (12.0, 1, "WELL"), (14.0, 2, "AWAY")]
    changes = [Change(at_s, worker, Condition[what]) for at_s, worker, what in trouble]
    crowded = Scenario("crowded", steady, 9.0, fleet(large, 3, steady, 9.0, 1.0), requests=450, patience_s=20.0)
    return {
        "tight": dataclasses.replace(tight, changes=(*changes, Change(17.0, 2, Condition.WELL))),
        "burst": burst(growing(12), large, 4, 250),
        "sampled": shared_system_prompt(growing(4), large, 24, 500),
        "crowded": crowded,
    }


def with_others(rows: list[Row]) -> Iterator[Row]:
    """Now and then other routers have something on a worker."""
    rng = random.Random("others")
    for row in rows:
        yield row
        if row[0] == "load" and rng.random() < 0.1:
            busy = int(rng.random() * 4)
            yield ["elsewhere", row[1], row[2], busy, busy * int(rng.random() * 9_000), busy * 20_000]


def main() -> None:
    tapes = {name: recorded(name, scenario) for name, scenario in scenarios().items()}
    tapes["sampled"] = list(with_others(tapes["sampled"]))
    numbers: dict[tuple[str, int], int] = {}
    merged = sorted(((row[1], name, at) for name, rows in tapes.items() for at, row in enumerate(rows)))
    with gzip.GzipFile(EVENTS, "wb", mtime=0) as file:
        for _, name, at in merged:
            row = tapes[name][at]
            if row[0] in ("lease", "first_byte", "end"):
                row[2] = numbers.setdefault((name, row[2]), len(numbers))
            file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")


if __name__ == "__main__":
    main()
