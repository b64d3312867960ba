"""The pool of runs behaves as vLLM's pool of blocks: held against a block-by-block model of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from loadtests.engine.kv_pool import KvLease, KvPool

BLOCKS = 16


def chain_of(path: Sequence[int]) -> list[int]:
    """Chained hashes: equal prefixes of the path, equal hashes."""
    hashes, parent = [], 7
    for step in path:
        parent = hash((parent, step)) & (2**64 - 1)
        hashes.append(parent)
    return hashes


@dataclass
class NaivePool:
    """One entry per physical block, as in vLLM: a queue of free blocks, and the blocks that have each hash."""

    hashes: list[int | None] = field(default_factory=lambda: [None] * BLOCKS)
    refs: list[int] = field(default_factory=lambda: [0] * BLOCKS)
    queue: list[int] = field(default_factory=lambda: list(range(BLOCKS)))
    cached: dict[int, list[int]] = field(default_factory=dict)
    evicted: int = 0

    def match(self, chain: Sequence[int], limit: int) -> list[int]:
        blocks: list[int] = []
        for block_hash in chain[:limit]:
            if block_hash not in self.cached:
                break
            blocks.append(self.cached[block_hash][0])
        return blocks

    def hold(self, blocks: Sequence[int]) -> None:
        for block in blocks:
            if self.refs[block] == 0:
                self.queue.remove(block)
            self.refs[block] += 1

    def allocate(self, count: int) -> list[int]:
        blocks = []
        for _ in range(count):
            block = self.queue.pop(0)
            block_hash = self.hashes[block]
            if block_hash is not None:
                self.evicted += 1
                self.cached[block_hash].remove(block)
                if not self.cached[block_hash]:
                    del self.cached[block_hash]
            self.hashes[block], self.refs[block] = None, 1
            blocks.append(block)
        return blocks

    def publish(self, block: int, block_hash: int) -> None:
        self.hashes[block] = block_hash
        self.cached.setdefault(block_hash, []).append(block)

    def release(self, blocks: Sequence[int]) -> None:
        for block in reversed(blocks):
            self.refs[block] -= 1
            if self.refs[block] == 0:
                self.queue.insert(len(self.queue) if self.hashes[block] is not None else 0, block)


@dataclass
class Pair:
    """One sequence in both pools."""

    chain: list[int]
    lease: KvLease
    blocks: list[int]
    hashed: int


PATHS = st.tuples(st.integers(1, 7), st.integers(0, 4)).map(lambda sizes: [0] * sizes[0] + [1] * sizes[1])
"""Few chains with many common prefixes, so that they meet, split and are computed twice."""


class PoolsAgree(RuleBasedStateMachine):
    """Any mix of sequences that come, grow, compute and go, in any order, shared and duplicate prefixes included."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.naive = KvPool(BLOCKS), NaivePool()
        self.pairs: list[Pair] = []
        self.seen: list[list[int]] = []

    @rule(path=PATHS, limit=st.sampled_from((0, 3, 20)), needed=st.integers(0, 8))
    def admit(self, path: list[int], limit: int, needed: int) -> None:
        self.admitted(path, limit, needed)

    def admitted(self, path: list[int], limit: int, needed: int) -> Pair | None:
        chain = chain_of(path)
        if chain not in self.seen:
            self.seen.append(chain)
        held = self.naive.match(chain, min(limit, len(chain)))
        lease = self.pool.admit(chain, min(limit, len(chain)), len(held) + needed)
        fits = needed <= len(self.naive.queue) - sum(self.naive.refs[block] == 0 for block in held)
        assert (lease is not None) == fits
        if lease is not None:
            self.naive.hold(held)
            assert lease.hashed == len(held)
            self.pairs.append(Pair(chain, lease, held, len(held)))
        return self.pairs[-1] if lease is not None else None

    @rule(path=PATHS, limit=st.sampled_from((0, 3, 20)))
    def compute(self, path: list[int], limit: int) -> None:
        pair = self.admitted(path, limit, 0)
        if pair is not None and self.grow_by(pair, len(pair.chain) - pair.hashed):
            self.publish_of(pair, len(pair.chain))

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), count=st.integers(1, 6))
    def grow(self, data: st.DataObject, count: int) -> None:
        self.grow_by(data.draw(st.sampled_from(self.pairs)), count)

    def grow_by(self, pair: Pair, count: int) -> bool:
        fits = count <= len(self.naive.queue)
        assert self.pool.grow(pair.lease, count) == fits
        if fits:
            pair.blocks += self.naive.allocate(count)
        return fits

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), count=st.integers(1, 6))
    def publish(self, data: st.DataObject, count: int) -> None:
        self.publish_of(data.draw(st.sampled_from(self.pairs)), count)

    def publish_of(self, pair: Pair, count: int) -> None:
        hashes = pair.chain[pair.hashed : min(pair.hashed + count, len(pair.blocks))]
        self.pool.publish(pair.lease, hashes)
        for block_hash in hashes:
            self.naive.publish(pair.blocks[pair.hashed], block_hash)
            pair.hashed += 1

    @precondition(lambda self: self.pairs)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        pair = self.pairs.pop(data.draw(st.integers(0, len(self.pairs) - 1)))
        self.pool.release(pair.lease)
        self.naive.release(pair.blocks)
        assert pair.lease.blocks == 0

    @invariant()
    def agree(self) -> None:
        assert self.pool.free == len(self.naive.queue)
        assert self.pool.usage == 1 - len(self.naive.queue) / BLOCKS
        assert self.pool.evicted == self.naive.evicted
        for pair in self.pairs:
            assert pair.lease.blocks == len(pair.blocks)
        for chain in self.seen:
            assert self.pool.match(chain, len(chain)) == len(self.naive.match(chain, len(chain)))

    def teardown(self) -> None:
        for pair in self.pairs:
            self.pool.release(pair.lease)
        assert self.pool.free == BLOCKS


PoolsAgree.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPoolsAgree = PoolsAgree.TestCase


def filled(pool: KvPool, path: Sequence[int]) -> KvLease:
    """A lease whose blocks are all computed."""
    chain = chain_of(path)
    lease = pool.admit(chain, len(chain), len(chain))
    assert lease is not None
    assert pool.grow(lease, len(chain) - lease.hashed)
    pool.publish(lease, chain[lease.hashed :])
    return lease


def test_the_tail_is_evicted_before_the_head() -> None:
    pool = KvPool(8)
    pool.release(filled(pool, [1, 2, 3, 4, 5, 6]))
    taken = pool.admit([], 0, 4)
    assert taken is not None
    assert pool.grow(taken, 4)
    assert pool.match(chain_of([1, 2, 3, 4, 5, 6]), 6) == 4


def test_the_least_recently_released_is_evicted_first() -> None:
    pool = KvPool(8)
    first, second = filled(pool, [1] * 4), filled(pool, [2] * 4)
    pool.release(second)
    pool.release(first)
    pool.grow(KvLease(), 4)
    assert pool.match(chain_of([1] * 4), 4) == 4
    assert pool.match(chain_of([2] * 4), 4) == 0


def test_a_shared_prefix_outlives_one_of_its_holders() -> None:
    pool = KvPool(8)
    first, second = filled(pool, [1, 2, 3]), filled(pool, [1, 2, 4])
    assert pool.free == 4  # two shared blocks, two of their own
    pool.release(first)
    assert pool.grow(KvLease(), 5)
    assert pool.match(chain_of([1, 2, 4]), 3) == 3
    assert pool.match(chain_of([1, 2, 3]), 3) == 2
    pool.release(second)


@pytest.mark.parametrize("blocks", [9, 100])
def test_too_much_is_refused_and_changes_nothing(blocks: int) -> None:
    pool = KvPool(8)
    lease = filled(pool, [1, 2])
    assert not pool.grow(lease, blocks)
    assert pool.admit(chain_of([3]), 0, blocks) is None
    assert (pool.free, lease.blocks) == (6, 2)


def test_of_two_copies_the_first_is_held_block_by_block() -> None:
    pool, chain = KvPool(16), chain_of([1, 2, 3, 4])
    first, second = pool.admit(chain, 0, 4), pool.admit(chain, 0, 4)
    assert first is not None
    assert second is not None
    assert pool.grow(first, 4)
    assert pool.grow(second, 4)
    pool.publish(first, chain[:2])
    pool.publish(second, chain)
    pool.publish(first, chain[2:])
    pool.release(first)
    assert pool.free == 12
    assert pool.admit(chain, 4, 4) is not None
    assert pool.free == 10  # its own copy of blocks 0 and 1, and of 2 and 3 those of `second`, which are held anyway
