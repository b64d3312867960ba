"""Tells recorded events to a fleet and a decider, and writes down what every policy decides."""

import dataclasses
import gzip
import json
import random
import zlib
from collections.abc import Coroutine, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import policies
from policies.api import Candidate, Policy, RequestFacts, Selection, candidate
from router.engines import Facts, Load, ModelCard
from router.fleet.breaker import Breaker, Fault
from router.fleet.cache_loss import CacheReport
from router.fleet.lease import Lease
from router.fleet.others import Elsewhere
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.index import HASH_BYTES, Held, Record
from router.routing.decide import Decider, NoWorkerError, Sight
from router.routing.saturation import saturated
from tokenizer_cache.prompt import Prompt

HERE = Path(__file__).parent
EVENTS = HERE / "events.jsonl.gz"
DECISIONS = HERE / "decisions.json.gz"
DEFAULT = "expected_ttft"
BOUND_S = 2.0
WARM_IN_S = 20.0
EXTREMES = 1_000
FIELDS = (
    "worker",
    "cached_tokens",
    "uncached_tokens",
    "queued_tokens",
    "in_flight",
    "held_tokens",
    "waiting",
    "kv_usage",
    "kv_capacity_tokens",
    "prefill_rate",
    "alike",
    "strangers",
    "warmth",
    "stay_s",
    "held_share",
)
_fields = attrgetter(*FIELDS)

Row = list[Any]


def digest(*values: object) -> int:
    return zlib.crc32(repr(values).encode())


class EveryPolicy:
    """All policies on the same candidates; the default's choice counts."""

    scope: ClassVar[Literal["few", "all"]] = "few"
    reasons: ClassVar[tuple[str, ...]] = ("any",)

    def __init__(self) -> None:
        self._policies = {name: policies.build(name, random.Random(name)) for name in sorted(policies.POLICIES)}
        self.default: Row = []
        self.digests = dict.fromkeys(self._policies, 0)
        """Of each policy, over all decisions so far."""

    def costs(self, request: RequestFacts, candidates: Sequence[Candidate]) -> list[float]:
        return self._policies[DEFAULT].costs(request, candidates)

    def select(self, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        selections = {name: self._ask(name, policy, request, candidates) for name, policy in self._policies.items()}
        return selections[DEFAULT]

    def _ask(self, name: str, policy: Policy, request: RequestFacts, candidates: Sequence[Candidate]) -> Selection:
        costs = policy.costs(request, candidates)
        selection = policy.select(request, candidates)
        chosen = candidates.index(selection.candidate)
        self.digests[name] = digest(self.digests[name], chosen, selection.reason, selection.cost, costs)
        if name == DEFAULT:
            self.default = [chosen, selection.reason, selection.cost, digest(costs)]
        return selection


class RecordedIndex:
    """Answers as the index did at the time."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> dict[str, Held]:
        return self.held

    def record(self, record: Record) -> None: ...

    def set_capacity(self, holder: str, blocks: int) -> None: ...

    def remove_worker(self, holder: str) -> None: ...


LOAD_FIGURES = len(dataclasses.fields(Load))


class Replay:
    """One router of all the recorded fleets. Each kind of event is a method of its name."""

    def __init__(self) -> None:
        self.now = 0.0
        self.decisions: list[Row] = []
        self._policy = EveryPolicy()
        self._index = RecordedIndex()
        self._fleet = Fleet(self._make_worker, lambda call: call(), PrefillRates(8000.0))
        rng = random.Random("decider")
        self._decider = Decider(self._policy, self._index, rng, lambda: self.now)
        self._leases: dict[int, Lease] = {}
        self._workers: dict[str, Worker] = {}

    def tell(self, kind: str, at_s: float, *told: Any) -> None:
        """Something happened."""
        self.now = at_s
        getattr(self, kind)(*told)

    @property
    def digests(self) -> dict[str, int]:
        return self._policy.digests

    def _make_worker(self, url: str) -> Worker:
        worker = Worker(url, Breaker(lambda: self.now, 5, 5.0), 8000.0, lambda: self.now)
        worker.warmth.ramp_s = WARM_IN_S
        return worker

    def facts(self, name: str, model: str, block_tokens: int, capacity: int, generation: str) -> None:
        if name not in self._workers:
            self._workers[name] = self._fleet.add(f"http://{name}")
        cards = (ModelCard(model, model, "", 131_072),)
        facts = Facts("vllm", "lab", cards, block_tokens, capacity, generation)
        self._fleet.on_facts(self._workers[name].id, facts)

    def healthy(self, name: str) -> None:
        self._fleet.on_healthy(self._workers[name].id)

    def unhealthy(self, name: str) -> None:
        self._fleet.on_unhealthy(self._workers[name].id, "recorded")

    def load(self, name: str, *figures: Any) -> None:
        """The time at which a load was read was recorded after its figures, and is used no more."""
        self._fleet.on_load(self._workers[name].id, Load(*figures[:LOAD_FIGURES]))

    def elsewhere(self, name: str, in_flight: int, queued: int, held: int) -> None:
        worker = self._workers[name]
        worker.elsewhere = lambda now: Elsewhere(in_flight, queued, held)
        worker.set_elsewhere(in_flight)

    def report(self, name: str, start: str, *turn: Any) -> None:
        self._fleet.reported(self._workers[name], CacheReport(bytes.fromhex(start), *turn))

    def begin(self, name: str) -> None:
        self._workers[name].breaker.begin()

    def success(self, name: str) -> None:
        self._workers[name].breaker.success()

    def whole(self, name: str) -> None:
        self._workers[name].breaker.whole()

    def failure(self, name: str, fault: str) -> None:
        self._workers[name].breaker.failure(Fault(fault))

    def lease(self, number: int, name: str, prefix: str, *told: Any) -> None:
        tokens, uncached, tells = told
        self._leases[number] = Lease(self._workers[name], tokens, uncached, tells, bytes.fromhex(prefix))
        self._leases[number].__enter__()

    def first_byte(self, number: int) -> None:
        self._leases[number].first_byte()

    def end(self, number: int) -> None:
        self._leases.pop(number).__exit__(None, None, None)

    def ask(
        self, model: str, prompt_of: tuple[int, str], session: str, failed: list[str], held: dict[str, int]
    ) -> None:
        group = self._fleet.groups[model]
        tokens, chain = prompt_of[0], bytes.fromhex(prompt_of[1])
        prompt = Prompt(
            chain=chain,
            known_blocks=len(chain) // HASH_BYTES,
            tokens=tokens,
            block_tokens=64,
            exact=True,
            source="encoded",
        )
        prompts = {group.workers[0].format: prompt} if tokens else {}
        self._index.held = {self._workers[name].holder: Held(blocks, blocks) for name, blocks in held.items()}
        sight = _result(self._decider.look(group, prompts, [self._workers[name] for name in failed]))
        try:
            decision = self._decider.choose(sight, prompts, bytes.fromhex(session))
        except NoWorkerError:
            self.decisions.append(["nobody"])
            return
        full = saturated(decision, BOUND_S, self.now)
        candidates = digest([_fields(candidate) for candidate in decision.candidates])
        self.decisions.append([*self._policy.default, candidates, full])


def _result(looking: Coroutine[Any, Any, Sight]) -> Sight:
    """Of a coroutine that never waits: the index here answers at once."""
    try:
        looking.send(None)
    except StopIteration as done:
        return cast("Sight", done.value)
    raise AssertionError("it waited")


def of_events() -> dict[str, Any]:
    """What is decided on the recorded events."""
    replay = Replay()
    for line in gzip.decompress(EVENTS.read_bytes()).splitlines():
        replay.tell(*json.loads(line))
    return {"decisions": replay.decisions, "policies": replay.digests}


def of_extremes() -> dict[str, Any]:
    """What is decided among workers under loads that no simulated engine comes to."""
    rng, policy, decisions = random.Random("extremes"), EveryPolicy(), []
    for _ in range(EXTREMES):
        request, candidates = _extreme(rng)
        policy.select(request, candidates)
        decisions.append(policy.default)
    return {"decisions": decisions, "policies": policy.digests}


def _extreme(rng: random.Random) -> tuple[RequestFacts, list[Candidate]]:
    """Random values of `random()` alone, whose results are the same in every version of Python."""

    def of(*values: Any) -> Any:
        return values[int(rng.random() * len(values))]

    def up_to(most: int) -> int:
        return int(rng.random() * (most + 1))

    tokens = of(0, 1, 700, 20_000, 180_000)
    names = [f"w{up_to(40)}" for _ in range(1 + up_to(11))]
    candidates = []
    for name in dict.fromkeys(names):
        cached = min(of(0, 0, 64, 3_008, 18_944, 200_000), max(0, tokens - 1))
        candidates.append(
            candidate(
                worker=name,
                cached_tokens=cached,
                uncached_tokens=tokens - cached,
                queued_tokens=of(0, up_to(2_000), up_to(1_000_000)),
                in_flight=of(0, up_to(20), up_to(500)),
                held_tokens=of(0, up_to(200_000), up_to(2_000_000)),
                waiting=of(0, 0, up_to(5), up_to(300)),
                kv_usage=of(0.0, 0.03, 0.5, 0.89, 0.9, 0.97, 1.0),
                kv_capacity_tokens=of(0, 11_648, 300_000, 1_700_000),
                prefill_rate=of(1_700.0, 8_000.0, 45_000.0),
                alike=of(0, 0, 1, up_to(60)),
                strangers=of(0, 0, up_to(40)),
                warmth=of(1.0, 1.0, 0.1, 0.1 + 0.9 * rng.random()),
                stay_s=of(5.0, 60.0 * rng.random()),
                held_share=of(1.0, 0.01 + 0.99 * rng.random()),
            )
        )
    request = RequestFacts(prompt_tokens=tokens, session=of(b"", b"s1", b"s2"), prefix=of(b"", b"p", b"q"))
    return request, candidates


def expected() -> dict[str, Any]:
    """What was decided when the decisions were written."""
    found: dict[str, Any] = json.loads(gzip.decompress(DECISIONS.read_bytes()))
    return found


def write() -> None:
    """Write down what is decided now."""
    text = json.dumps({"events": of_events(), "extremes": of_extremes()}, separators=(",", ":"))
    DECISIONS.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    write()
