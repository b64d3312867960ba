"""docs/architecture.md keeps its promises: its paths exist, and the code gives the numbers of its worked example."""

import random
import re
import tomllib
from functools import partial
from pathlib import Path
from typing import Literal

import policies
from policies.api import Candidate
from router.fleet.lease import Lease
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.index import HASH_BYTES, Record, State
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.decide import Decider, Decision
from tests.router.fleets import MODEL, facts, make_worker
from tokenizer_cache.prompt import Prompt

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/architecture.md").read_text()
NAMES = {"http://a:8000": "A", "http://b:8000": "B", "http://c:8000": "C"}
BLOCK_TOKENS = 64
PROMPT = Prompt(
    chain=b"".join(b"block %02d" % number for number in range(6)),
    known_blocks=6,
    tokens=400,
    block_tokens=BLOCK_TOKENS,
    exact=True,
    source="encoded",
)
QUEUED_AT_A = 2400


def section(title: str) -> str:
    """The text below a headline, up to the next one."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def stopped_clock() -> float:
    return 0.0


class Example:
    """Three idle workers of 8,000 tokens a second; A holds all six blocks of the prompt, B four, C none."""

    def __init__(self) -> None:
        self.fleet = Fleet(partial(make_worker, clock=stopped_clock), lambda later: None, PrefillRates(8000.0))
        for url in NAMES:
            worker = self.fleet.add(url)
            self.fleet.on_facts(worker.id, facts(MODEL))
            self.fleet.on_healthy(worker.id)
        self.a, self.b, self.c = self.fleet.groups[MODEL].workers
        self.index = TreeIndex(Limits(), stopped_clock, lambda error: None)
        self.holds(self.a, 6, State.CONFIRMED)
        self.holds(self.b, 4, State.CONFIRMED)
        rng = random.Random(1)
        policy = policies.build("expected_ttft", rng)
        self.decider = Decider(policy, self.index, rng, stopped_clock)

    def holds(self, worker: Worker, blocks: int, state: Literal[State.CONFIRMED, State.PENDING]) -> None:
        record = Record(worker.holder, PROMPT.chain[: blocks * HASH_BYTES], state)
        if state is State.PENDING:
            self.index.record(record)
        else:
            self.index.residency.apply(record)

    async def held(self) -> dict[str, tuple[int, int]]:
        """By worker: blocks computed, and blocks computed or pending."""
        found = await self.index.match(PROMPT.chain, [worker.holder for worker in (self.a, self.b, self.c)])
        names = {worker.holder: NAMES[worker.url] for worker in (self.a, self.b, self.c)}
        return {names[holder]: (held.blocks, held.pending_blocks) for holder, held in found.items()}

    async def decide(self) -> tuple[Decision, list[float]]:
        prompts = {self.a.format: PROMPT}
        decision = self.decider.choose(await self.decider.look(self.fleet.groups[MODEL], prompts), prompts)
        return decision, self.decider.costs(decision, prompts)

    async def table(self) -> list[str]:
        """The decision as the page's table has it."""
        decision, costs = await self.decide()
        selection = decision.selection
        return [
            row(NAMES[worker.url], candidate, cost, selection.reason if candidate is selection.candidate else "")
            for worker, candidate, cost in zip(decision.workers, decision.candidates, costs, strict=True)
        ]


def row(name: str, candidate: Candidate, cost: float, reason: str) -> str:
    counts = (candidate.cached_tokens, candidate.uncached_tokens, candidate.queued_tokens, candidate.in_flight)
    cells = [name, *(f"{count:,}" for count in counts), f"{cost:.4f}", f"`{reason}`" if reason else ""]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


async def test_the_worked_example_is_what_the_code_computes() -> None:
    example = Example()
    text = section("A worked example")
    assert await example.held() == {"A": (6, 6), "B": (4, 4)}
    for line in await example.table():
        assert line in text, line
    with Lease(example.a, prompt_tokens=3000, uncached_tokens=QUEUED_AT_A):
        rows = await example.table()
        for line in rows:
            assert line in text, line
    assert [line for line in rows if line.endswith("`spilled` |")] == [rows[1]]


async def test_the_worked_example_ends_as_the_index_and_the_lease_do() -> None:
    example = Example()
    with Lease(example.b, PROMPT.tokens, 144) as lease:
        example.holds(example.b, 6, State.PENDING)
        assert await example.held() == {"A": (6, 6), "B": (4, 6)}
        assert (example.b.running.in_flight, example.b.running.queued_tokens, example.b.running.held_tokens) == (
            1,
            144,
            400,
        )
        lease.first_byte()
        example.holds(example.b, 6, State.CONFIRMED)
        assert await example.held() == {"A": (6, 6), "B": (6, 6)}
        assert (example.b.running.in_flight, example.b.running.queued_tokens, example.b.running.held_tokens) == (
            1,
            0,
            400,
        )
    assert (example.b.running.in_flight, example.b.running.queued_tokens, example.b.running.held_tokens) == (0, 0, 0)


def test_it_is_one_page() -> None:
    assert len(PAGE.splitlines()) <= 200


def test_where_is_names_what_exists() -> None:
    rows = re.findall(r"(?m)^\| .*\? \| (.*) \|$", section("Where is ...?"))
    assert len(rows) >= 5
    for answer in rows:
        paths = re.findall(r"`([\w./]+/[\w.]*)`", answer)
        assert paths, answer
        assert all((ROOT / path).exists() for path in paths), answer


def test_every_room_of_the_router_has_a_line() -> None:
    rooms = {f"router/{folder.parent.name}/" for folder in (ROOT / "router").glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"`(router/\w+/)`", section("Rooms")))


def test_the_rooms_are_in_the_order_that_is_checked() -> None:
    """The page lists the layers of the import contract, from top to bottom."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each.get("containers") == ["router"])
    order = [set(layer.split(" | ")) for layer in layers if layer != "__main__"]
    named = re.findall(r"(?m)^\| `router/(\w+)(?:/|\.py)` \|", section("Rooms"))
    for layer in order:
        here, named = set(named[: len(layer)]), named[len(layer) :]
        assert here == layer
    assert not named
