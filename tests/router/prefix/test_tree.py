"""The index in memory: what is at once, what goes through the queue."""

import pytest

from router.prefix.index import State
from router.prefix.residency import SLICE, Limits
from router.prefix.tree import TreeIndex
from tests.router.prefix.conftest import Clock, chain_of, confirmed, held, pending, raise_error

CHAIN = chain_of("chain")


def make_index(clock: Clock, max_blocks: int = 1000) -> TreeIndex:
    return TreeIndex(Limits(max_blocks=max_blocks), clock, raise_error)


async def test_match_never_suspends(clock: Clock) -> None:
    async with make_index(clock) as index:
        index.record(confirmed("w1", CHAIN))
        await index.flush()
        with pytest.raises(StopIteration) as returned:
            index.match(CHAIN).send(None)
        assert returned.value.value == index.find(CHAIN) == {"w1": held(5)}


async def test_only_pending_is_applied_at_once(clock: Clock) -> None:
    async with make_index(clock) as index:
        index.record(confirmed("w1", CHAIN))
        index.record(pending("w2", CHAIN))
        assert set(index.find(CHAIN)) == {"w2"}
        await index.flush()
        assert set(index.find(CHAIN)) == {"w1", "w2"}


async def test_records_made_while_stopped_are_written_once_started(clock: Clock) -> None:
    index = make_index(clock)
    index.record(confirmed("w1", CHAIN))
    async with index:
        pass
    assert index.find(CHAIN) == {"w1": held(5)}


async def test_removal_gives_the_memory_back_without_further_traffic(clock: Clock) -> None:
    async with make_index(clock) as index:
        for number in range(100):
            index.record(confirmed("w1", chain_of([number], CHAIN)))
        await index.flush()
        index.remove_worker("w1")
        assert index.residency.tree.blocks == 105
        await index.flush()
        assert index.residency.tree.blocks == 0


async def test_a_large_eviction_is_finished_without_further_traffic(clock: Clock) -> None:
    async with make_index(clock) as index:
        for number in range(SLICE + 50):
            index.record(confirmed("w1", chain_of([number], CHAIN)))
        await index.flush()
        index.set_capacity("w1", 0)
        assert index.residency.tree.blocks > 0
        await index.flush()
        assert index.residency.tree.blocks == 0


async def test_refusals_of_tree_and_queue_are_counted_together(clock: Clock) -> None:
    async with make_index(clock, max_blocks=3) as index:
        index.record(pending("w1", CHAIN))
        assert index.refused == 1
        for _ in range(10_001):
            index.record(confirmed("w1", CHAIN)._replace(state=State.DROPPED))
        assert index.refused == 2
        await index.flush()
        assert index.refused == 2
