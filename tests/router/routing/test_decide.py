"""Who becomes a candidate, and with what credit."""

import random
import sys
import time
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import policies
from policies.api import candidate
from router.fleet.lease import Lease
from router.fleet.others import Elsewhere
from router.fleet.worker import Gauges, KvPool
from router.fleet.workers import Fleet
from router.prefix.index import HASH_BYTES, Held, Record, State
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.decide import (
    MAX_CANDIDATES,
    Decider,
    NoWorkerError,
    cached_tokens,
    candidate_of,
)
from tests.router.fleets import MODEL, make_fleet
from tokenizer_cache.prompt import Prompt


def chain(blocks: int, name: str = "a") -> bytes:
    return b"".join(f"{name}{i:07d}".encode() for i in range(blocks))


def prompt(blocks: int, name: str = "a", extra: int = 10) -> Prompt:
    tokens = blocks * 64 + extra
    return Prompt(
        chain=chain(blocks, name), known_blocks=blocks, tokens=tokens, block_tokens=64, exact=True, source="encoded"
    )


class Setting:
    """A fleet, an index and a decider."""

    def __init__(self, workers: int, policy: str = "expected_ttft") -> None:
        self.fleet: Fleet = make_fleet(workers, MODEL)
        self.index = TreeIndex(Limits(), lambda: 0.0, lambda error: None)
        rng = random.Random(1)
        self.decider = Decider(policies.build(policy, rng), self.index, rng)
        self.format = next(iter(self.fleet.workers.values())).format
        self.group = self.fleet.groups[MODEL]

    def holds(self, worker: int, what: Prompt, blocks: int) -> None:
        record = Record(self.group.workers[worker].holder, what.chain[: blocks * HASH_BYTES], State.CONFIRMED)
        self.index.residency.apply(record)


async def test_the_holder_is_chosen() -> None:
    setting = Setting(4)
    asked = prompt(100)
    setting.holds(2, asked, 90)
    sight = await setting.decider.look(setting.group, {setting.format: asked})
    decision = setting.decider.choose(sight, {setting.format: asked})
    assert decision.worker is setting.group.workers[2]
    assert decision.selection.candidate.cached_tokens == 90 * 64
    assert len(decision.candidates) == 4


async def test_of_a_thousand_few_are_looked_at_and_the_deepest_holders_are_among_them() -> None:
    setting = Setting(1000)
    asked = prompt(100)
    for worker in range(0, 1000, 100):
        setting.holds(worker, asked, 10 + worker // 100)
    sight = await setting.decider.look(setting.group, {setting.format: asked})
    assert len(sight.workers) <= MAX_CANDIDATES
    assert {setting.group.workers[n] for n in range(600, 1000, 100)} <= set(sight.workers)
    decision = setting.decider.choose(sight, {setting.format: asked})
    assert decision.worker is setting.group.workers[900]


@pytest.mark.parametrize("holders", [0, 1, 3, 8])
def test_a_decision_among_a_thousand_costs_at_most_a_fifth_more_than_among_eight(holders: int) -> None:
    few, many = (instructions_of_a_decision(workers, holders) for workers in (8, 1000))
    assert many <= 1.2 * few


def instructions_of_a_decision(workers: int, holders: int) -> float:
    """Bytecode instructions from look to choice, the mean of 20 decisions. A large fleet is in order by then: that is
    done once for each of its changes."""
    setting, asked, counted = Setting(workers), prompt(100), 0
    setting.group.order.lowest(1)
    for worker in range(holders):
        setting.holds(worker, asked, 60 + worker)

    def count(frame: FrameType, event: str, _: object) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for _ in range(20):
            looking = setting.decider.look(setting.group, {setting.format: asked})
            with pytest.raises(StopIteration) as done:
                looking.send(None)
            setting.decider.choose(done.value.value, {setting.format: asked})
    finally:
        sys.settrace(before)
    return counted / 20


async def test_a_policy_that_needs_all_sees_all() -> None:
    setting = Setting(40, "consistent_hash")
    asked = prompt(3)
    sight = await setting.decider.look(setting.group, {setting.format: asked})
    assert len(setting.decider.choose(sight, {setting.format: asked}).candidates) == 40


@pytest.mark.parametrize("count", [3, 40])
async def test_unavailable_and_failed_workers_are_left_out(count: int) -> None:
    setting = Setting(count)
    asked = prompt(20)
    for number in range(count):
        setting.holds(number, asked, 20)
    for worker in setting.group.workers[2:]:
        setting.fleet.on_unhealthy(worker.id, "x")
    group = setting.fleet.groups[MODEL]
    failed = group.workers[0]
    sight = await setting.decider.look(group, {setting.format: asked}, [failed])
    assert set(sight.workers) <= {group.workers[1]}
    with pytest.raises(NoWorkerError):
        sight = await setting.decider.look(group, {setting.format: asked}, group.workers[:2])
        setting.decider.choose(sight, {setting.format: asked})


async def test_without_a_prompt_the_load_decides() -> None:
    setting = Setting(3)
    for worker in setting.group.workers[:2]:
        worker.queue_prefill(5000)
        worker.count_in_flight(1)
    sight = await setting.decider.look(setting.group, {})
    assert setting.decider.choose(sight, {}).worker is setting.group.workers[2]


@given(st.integers(0, 40), st.integers(0, 63), st.integers(0, 60), st.sampled_from([1, 16, 64, 128, 528]))
def test_credit_is_whole_blocks_of_the_engine_and_never_the_whole_prompt(
    blocks: int, extra: int, held: int, align: int
) -> None:
    asked = prompt(blocks, extra=extra)
    cached = cached_tokens(min(held, blocks), asked, align)
    assert 0 <= cached <= max(0, asked.tokens - 1)
    assert cached % align == 0
    assert cached <= held * 64


def test_pending_prefill_counts_as_cached_and_its_work_as_queue() -> None:
    setting = Setting(1)
    worker = setting.group.workers[0]
    asked = prompt(10)
    worker.queue_prefill(asked.tokens)
    found = candidate_of(worker, asked, Held(0, 10), 0.0)
    assert (found.cached_tokens, found.uncached_tokens) == (640, 10)


def test_a_worker_without_a_prefix_cache_gets_no_credit() -> None:
    setting = Setting(1)
    worker = setting.group.workers[0]
    worker.pool = KvPool(caches=False)
    assert candidate_of(worker, prompt(10), Held(10, 10), 0.0).cached_tokens == 0


async def test_a_candidates_load_is_that_of_all_routers() -> None:
    setting = Setting(2)
    busy = setting.group.workers[0]
    busy.elsewhere = lambda now: Elsewhere(3, 4000, 9000)
    with Lease(busy, 1000, 500):
        sight = await setting.decider.look(setting.group, {setting.format: prompt(1)})
        decision = setting.decider.choose(sight, {setting.format: prompt(1)})
    seen = next(candidate for candidate in decision.candidates if candidate.worker == busy.id)
    assert (seen.in_flight, seen.held_tokens) == (4, 10_000)
    assert 4400 < seen.queued_tokens <= 4500
    assert decision.worker is not busy


def test_equal_workers_have_an_order_of_each_routers_own() -> None:
    orders = set()
    for seed in range(5):
        fleet = make_fleet(30, MODEL, shuffle=random.Random(seed).shuffle)
        fleet.add("http://another:1")
        orders.add(tuple(worker.id for worker in fleet.everyone.order.lowest(4)))
    assert len(orders) == 5


def test_every_figure_of_a_worker_is_in_the_field_of_its_name() -> None:
    setting = Setting(1)
    worker, asked = setting.group.workers[0], prompt(10)
    worker.elsewhere = lambda now: Elsewhere(1, 20, 300)
    worker.prefill_rate = 12.5
    worker.queue_prefill(4_000)
    worker.running.in_flight, worker.running.held_tokens = 50, 60_000
    worker.gauges = Gauges(waiting=8, strangers=9, kv_usage=0.125)
    worker.pool = KvPool(capacity_tokens=11_000, align_tokens=16)
    worker.warmth.ramp_s = 100.0
    now = time.monotonic()
    worker.warmth.begin()
    worker.unique_share.learn(1_000, 250.0)
    found = candidate_of(worker, asked, Held(0, 5), now)
    assert found._replace(warmth=0.0, queued_tokens=0) == candidate(
        worker=worker.id,
        cached_tokens=320,
        uncached_tokens=330,
        queued_tokens=0,
        in_flight=51,
        held_tokens=60_300,
        waiting=8,
        kv_usage=0.125,
        kv_capacity_tokens=11_000,
        prefill_rate=12.5,
        strangers=9,
        warmth=0.0,
        stay_s=worker.running.lateness.stay_s,
        unique_share=0.25,
    )
    assert 4_000 < found.queued_tokens <= 4_020
    assert found.warmth == pytest.approx(0.1, abs=0.01)
