"""The paged KV pool of one engine: which blocks are cached, which are held, and which is evicted next.

Block for block it behaves as vLLM's `v1/core/block_pool.py`: chained hashes, one queue of unreferenced blocks, tail
freed before head, blocks without a hash reused first, duplicates kept. It stores *runs* instead of single blocks, so
that a prompt of 5,000 blocks costs a few operations; the tests hold it against the block-by-block model.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence


class Run:
    """Consecutive cached blocks of one chain that are held by the same leases, or wait in the queue together."""

    __slots__ = ("has_copies", "hashes", "leases", "place", "start")

    def __init__(self, start: int, hashes: list[int], leases: "list[KvLease]") -> None:
        self.start = start
        """Index in the chain of the first block. A hash covers all before it, so a hash is always at one index."""
        self.hashes = hashes
        self.leases = leases
        self.place: int | None = None
        """Key of its place in the eviction queue while no lease holds it."""
        self.has_copies = False
        """Some of its hashes have, or once had, another block too."""


class KvLease:
    """What one sequence holds: cached runs, and `blank` blocks after them that are not computed, or not yet full."""

    __slots__ = ("blank", "hashed", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.hashed = 0
        """Blocks from the start of the chain that carry their hash."""
        self.blank = 0

    @property
    def blocks(self) -> int:
        return self.hashed + self.blank


class KvPool:
    """`blocks` blocks of KV memory. Not thread-safe, reads no clock. Chains are lists of 64-bit chained hashes."""

    def __init__(self, blocks: int, evicting: Callable[[int], None] | None = None) -> None:
        """`evicting` hears of the hash of every cached block that is overwritten."""
        self.blocks = blocks
        self._evicting = evicting
        self.evicted = 0
        """Cached blocks that were overwritten since the start."""
        self._blank = blocks
        self._free_cached = 0
        self._where: dict[int, Run] = {}
        self._copies: dict[int, list[Run]] = {}
        self._queue: OrderedDict[int, list[Run]] = OrderedDict()
        self._next_place = 0

    @property
    def free(self) -> int:
        """Blocks that no lease holds: blank ones and evictable ones."""
        return self._blank + self._free_cached

    @property
    def usage(self) -> float:
        """Share of blocks held by leases, 0..1. Evictable blocks do not count, as in vLLM."""
        return 1 - self.free / self.blocks

    def match(self, chain: Sequence[int], limit: int) -> int:
        """Blocks of `chain` that are cached without a gap from its start, at most `limit`. Touches nothing."""
        return sum(length for _, _, length in self._spans(chain, limit))

    def admit(self, chain: Sequence[int], limit: int, total: int) -> KvLease | None:
        """Hold what is cached of the first `limit` blocks, if there is room for the rest of `total` blocks as well."""
        spans = [*self._spans(chain, limit)]
        cached = sum(length for _, _, length in spans)
        evictable = sum(length for run, _, length in spans if run.place is not None)
        if total - cached > self.free - evictable:
            return None
        lease = KvLease()
        # From the deepest on: holding a part cuts the run behind its start, and the same run may come twice.
        for run, offset, length in reversed(spans):
            lease.runs.append(self._hold(run, offset, length, lease))
        lease.runs.reverse()
        lease.hashed = cached
        return lease

    def grow(self, lease: KvLease, blocks: int) -> bool:
        """Give the lease `blocks` blank blocks, evicting the least recently used. False, and no change, if too few."""
        if blocks > self.free:
            return False
        from_blank = min(blocks, self._blank)
        self._blank -= from_blank
        self._evict(blocks - from_blank)
        lease.blank += blocks
        return True

    def publish(self, lease: KvLease, hashes: Sequence[int]) -> None:
        """The lease's next `len(hashes)` blank blocks are computed, or are about to be: they can be matched now."""
        last = lease.runs[-1] if lease.runs else None
        if last is None or len(last.leases) > 1 or last.start + len(last.hashes) != lease.hashed:
            last = Run(lease.hashed, [], [lease])
            lease.runs.append(last)
        last.hashes.extend(hashes)
        for block_hash in hashes:
            first = self._where.setdefault(block_hash, last)
            if first is not last:
                self._copies.setdefault(block_hash, []).append(last)
                first.has_copies = last.has_copies = True
        lease.hashed += len(hashes)
        lease.blank -= len(hashes)

    def release(self, lease: KvLease) -> None:
        """Give everything back. Cached blocks stay until they are overwritten, the tail before the head."""
        self._blank += lease.blank
        freed = []
        for run in sorted(lease.runs, key=lambda run: run.start, reverse=True):
            run.leases.remove(lease)
            if not run.leases:
                freed.append(run)
        if freed:
            self._next_place += 1
            self._queue[self._next_place] = freed
            for run in freed:
                run.place = self._next_place
                self._free_cached += len(run.hashes)
        lease.runs, lease.hashed, lease.blank = [], 0, 0

    def _spans(self, chain: Sequence[int], limit: int) -> Iterator[tuple[Run, int, int]]:
        """The (run, offset in it, length) that make up the cached start of `chain`, first copies before duplicates."""
        index = 0
        while index < limit:
            run = self._where.get(chain[index])
            if run is None:
                return
            offset = index - run.start
            length = _agreement(run.hashes, offset, chain, index, limit)
            if run.has_copies:
                length = self._same_run(run, chain, index, length)
            yield run, offset, length
            index += length

    def _same_run(self, run: Run, chain: Sequence[int], index: int, length: int) -> int:
        """How many of these blocks have their first copy in `run`. Nearly always all: looked up in one go."""
        owners = [*map(self._where.__getitem__, chain[index : index + length])]
        if owners.count(run) == length:
            return length
        return next(ahead for ahead, owner in enumerate(owners) if owner is not run)

    def _hold(self, run: Run, offset: int, length: int, lease: KvLease) -> Run:
        if offset:
            run = self._split(run, offset)
        if length < len(run.hashes):
            self._split(run, length)
        if run.place is not None:
            self._leave_queue(run)
        run.leases.append(lease)
        return run

    def _leave_queue(self, run: Run) -> None:
        assert run.place is not None
        runs = self._queue[run.place]
        runs.remove(run)
        if not runs:
            del self._queue[run.place]
        run.place = None
        self._free_cached -= len(run.hashes)

    def _split(self, run: Run, offset: int) -> Run:
        """Cut `run` in two; the new second half keeps the leases, or its turn in the queue: just before the first."""
        tail = Run(run.start + offset, run.hashes[offset:], list(run.leases))
        tail.has_copies = run.has_copies
        del run.hashes[offset:]
        for block_hash in tail.hashes:
            self._repoint(block_hash, run, tail)
        for lease in tail.leases:
            lease.runs.append(tail)
            lease.runs.sort(key=lambda run: run.start)
        if run.place is not None:
            tail.place = run.place
            runs = self._queue[run.place]
            runs.insert(runs.index(run), tail)
        return tail

    def _repoint(self, block_hash: int, old: Run, new: Run) -> None:
        if self._where[block_hash] is old:
            self._where[block_hash] = new
        else:
            copies = self._copies[block_hash]
            copies[copies.index(old)] = new

    def _evict(self, blocks: int) -> None:
        self._free_cached -= blocks
        self.evicted += blocks
        while blocks:
            place, runs = next(iter(self._queue.items()))
            hashes = runs[0].hashes
            for _ in range(min(blocks, len(hashes))):
                self._forget(hashes.pop(), runs[0])
                blocks -= 1
            if not hashes:
                del runs[0]
            if not runs:
                del self._queue[place]

    def _forget(self, block_hash: int, run: Run) -> None:
        if self._evicting is not None:
            self._evicting(block_hash)
        copies = self._copies.get(block_hash)
        if copies is None:
            del self._where[block_hash]
            return
        if self._where[block_hash] is run:
            self._where[block_hash] = copies.pop(0)
        else:
            copies.remove(run)
        if not copies:
            del self._copies[block_hash]


def _agreement(hashes: Sequence[int], offset: int, chain: Sequence[int], index: int, limit: int) -> int:
    """How many blocks of the run from `offset` equal the chain's from `index`; at least one is known to."""
    longest = min(len(hashes) - offset, limit - index)
    if hashes[offset + longest - 1] == chain[index + longest - 1]:
        return longest  # an equal chained hash means that everything before it is equal too
    return bisect_right(range(longest), 0, key=lambda ahead: hashes[offset + ahead] != chain[index + ahead])
