"""What is told of the KV pool is what happens to it, in vLLM's form."""

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from loadtests.engine.chains import ChainHasher
from loadtests.engine.job import Job, Origin
from loadtests.engine.kv_events import BlockRemoved, BlockStored, Event, KvEvents, KvEventsConfig, KvFeed
from loadtests.engine.scheduler import Scheduler
from tests.engines import quick_profile

PROFILE = quick_profile(kv_tokens=640, block_tokens=16, step_tokens=128)
HASHER = ChainHasher(16)


def job(ids: list[int], answer: int = 1, lora: str | None = None, salt: str = "") -> Job:
    whole = np.array([*ids, *range(10**6, 10**6 + answer)], dtype=np.uint32)
    return Job(HASHER.chain(whole, 0), len(ids), answer, origin=Origin(whole, lora, salt))


def played(scheduler: Scheduler, *jobs: Job, now: float = 0.0) -> None:
    for one in jobs:
        scheduler.submit(one, now)
    _, end = scheduler.step(now)
    while end is not None:
        _, end = scheduler.step(end)


def test_a_step_is_told_of_when_it_has_ended() -> None:
    events = KvEvents(16)
    scheduler, one = Scheduler(PROFILE, events=events), job(list(range(40)), 9)
    scheduler.submit(one, 0.0)
    _, end = scheduler.step(0.0)
    assert events.take() == []
    assert end is not None
    scheduler.step(end)
    (stored,) = events.take()
    assert stored == BlockStored(list(one.chain[:2]), None, list(range(32)), 16, None, "GPU", None)
    played(scheduler)
    (stored,) = events.take()
    assert isinstance(stored, BlockStored)
    assert (stored.block_hashes, stored.parent_block_hash) == ([one.chain[2]], one.chain[1])
    assert stored.token_ids == [*range(32, 40), *range(10**6, 10**6 + 8)]


def test_what_is_hashed_besides_tokens_is_told_per_block() -> None:
    events = KvEvents(16)
    scheduler = Scheduler(PROFILE, events=events)
    played(scheduler, job(list(range(50)), lora="a", salt="s"))
    (stored,) = events.take()
    assert isinstance(stored, BlockStored)
    assert (stored.lora_name, stored.extra_keys) == ("a", [["a", "s"], ["a"], ["a"]])
    played(scheduler, job(list(range(100, 150)), salt="s"))
    assert [event.extra_keys for event in events.take() if isinstance(event, BlockStored)] == [[["s"], None, None]]


@pytest.mark.parametrize("seed", range(5))
def test_a_listener_holds_what_the_pool_holds(seed: int) -> None:
    """Stores minus removals, counted per block as vLLM's own advice has it, under eviction, preemption and aborts."""
    rng, events, held = random.Random(seed), KvEvents(16), Counter[int]()
    scheduler = Scheduler(PROFILE, events=events)
    sessions = [[rng.randrange(1000) for _ in range(rng.randint(10, 150))] for _ in range(6)]
    kinds, now = Counter[str](), 0.0
    for _ in range(60):
        jobs = []
        for ids in rng.sample(sessions, rng.randint(1, 4)):
            ids.extend(rng.randrange(1000) for _ in range(rng.randint(1, 40)))
            del ids[: len(ids) - 300]
            jobs.append(job(list(ids), rng.randint(1, 40)))
        for one in jobs:
            scheduler.submit(one, now)
        _, end = scheduler.step(now)
        if rng.random() < 0.2:
            scheduler.abort(jobs[0], now)
        while end is not None:
            now = end
            _, end = scheduler.step(end)
        for event in events.take():
            kinds[type(event).__name__] += 1
            _listen(held, event)
        assert +held == _cached(scheduler)
    assert min(kinds["BlockStored"], kinds["BlockRemoved"]) > 50
    assert scheduler.clear()
    for event in events.take():
        _listen(held, event)
    assert not +held


def _listen(held: Counter[int], event: Event) -> None:
    if isinstance(event, BlockStored):
        held.update(event.block_hashes)
    elif isinstance(event, BlockRemoved):
        held.subtract(event.block_hashes)
    else:
        held.clear()


def _cached(scheduler: Scheduler) -> Counter[int]:
    pool = scheduler.pool
    return Counter(dict.fromkeys(pool._where, 1)) + Counter(h for h, more in pool._copies.items() for _ in more)


def test_nothing_is_cleared_while_somebody_uses_it() -> None:
    events = KvEvents(16)
    scheduler = Scheduler(PROFILE, events=events)
    scheduler.submit(job(list(range(40))), 0.0)
    scheduler.step(0.0)
    assert not scheduler.clear()
    assert events.take() == []


def test_batches_are_numbered_and_kept() -> None:
    sent: list[Any] = []
    feed = KvFeed(KvEventsConfig(topic="kv", buffer_steps=2), 16, sent.append, clock=lambda: 12.5)
    feed.publish()
    assert sent == []
    for number in range(3):
        feed.events.removed(number)
        feed.events.step_ended()
        feed.publish()
    assert [(topic, sequence) for topic, sequence, _ in sent] == [(b"kv", bytes([0] * 7 + [n])) for n in range(3)]
    removed = {"type": "BlockRemoved", "block_hashes": [2], "medium": "GPU"}
    assert msgspec.msgpack.decode(sent[2][2]) == [12.5, [removed], 0]
    assert feed.since(0) == sent[1:]
    feed.restart()
    assert feed.since(0) == []
    feed.events.cleared()
    feed.publish()
    assert msgspec.msgpack.decode(sent[3][2])[1] == [{"type": "AllBlocksCleared"}]
    assert sent[3][1] == bytes(8)
