"""What records mean: it confirms, pends, corrects and forgets blocks, with an exact LRU simulation of every KV pool.

An engine evicts in LRU order, and frees a request's tail before its head; so does this. Nothing here raises or waits.
Work that may take long (eviction after a large record, removal of a worker) is bounded per call and finished by
`sweep`.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.prefix.index import HASH_BYTES, Held, Record, State
from router.prefix.lookup import add_holders, deepest_holders, depth_of
from router.prefix.node import Holder, Holding, Node, Pending, unlink
from router.prefix.radix import RadixTree

SLICE = 256
"""Holdings forgotten, or pending records expired, in one call: about 1 us each."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the index in memory."""

    max_blocks: int = 4_000_000
    """Distinct blocks stored, over all holders (10 to 50 bytes each). Further blocks are refused and counted."""
    default_capacity_blocks: int = 8_192
    """KV pool assumed for a holder whose size is not known."""
    pending_ttl_s: float = 600.0
    """Must be longer than any prefill with its wait in the queue, and short enough that a lost PENDING does not attract
    requests for long."""
    idle_ttl_s: float = 6 * 3600.0
    """A holder without a record for this many seconds is forgotten: a late record of a removed worker would otherwise
    stay for ever."""


class Residency:
    """Which holder has which blocks. One thread only."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.tree = RadixTree(limits.max_blocks)
        self.evicted = 0
        """Blocks forgotten because their holder's pool was full."""
        self._limits = limits
        self._clock = clock
        self._capacities: dict[str, int] = {}
        self._holders: OrderedDict[str, Holder] = OrderedDict()
        """The longest idle holder comes first."""
        self._pendings: OrderedDict[Pending, None] = OrderedDict()
        """The record that expires soonest comes first."""
        self._expires_at = math.inf
        """No pending record expires sooner."""
        self._removed: deque[Holder] = deque()
        self._oversized: dict[Holder, None] = {}

    @property
    def pendings(self) -> int:
        """Number of PENDING records that are neither confirmed nor dropped nor expired."""
        return len(self._pendings)

    def find(self, chain: bytes, also: Sequence[str] = ()) -> dict[str, Held]:
        """See `PrefixIndex.match`."""
        self._expire_pendings()
        path, known = self.tree.walk(chain)
        found = deepest_holders(path, known)
        add_holders(path, known, also, self._holders, found)
        return found

    def depths(self, chain: bytes) -> Callable[[str], int]:
        """Tells by a holder's name how many blocks of the chain it has, without those that are pending. Not to be kept:
        true until the next record."""
        path, known = self.tree.walk(chain)
        holders = self._holders if path else {}

        def depth(name: str) -> int:
            holder = holders.get(name)
            return depth_of(path, known, holder) if holder is not None else 0

        return depth

    def apply(self, record: Record) -> None:
        """Apply one record at once."""
        if record.state is State.PENDING:
            self._pend(self._touched_holder(record.holder), record.chain)
        elif record.state is State.CONFIRMED:
            self._confirm(self._touched_holder(record.holder), record)
        elif (holder := self._holders.get(record.holder)) is not None:
            if record.state is State.DROPPED:
                self._drop(holder, record.chain, self._clock())
            else:
                self._correct(holder, record)

    def set_capacity(self, name: str, blocks: int) -> None:
        """See `PrefixIndex.set_capacity`. Where many blocks must be evicted, `sweep` does the rest."""
        self._capacities[name] = max(0, blocks)
        if (holder := self._holders.get(name)) is not None:
            holder.capacity_blocks = max(0, blocks)
            self._evict(holder, SLICE)

    def remove_worker(self, name: str) -> None:
        """See `PrefixIndex.remove_worker`. `sweep` gives the memory back."""
        self._capacities.pop(name, None)
        self._retire(name)

    def holders(self) -> list[str]:
        """The names of all holders, the longest idle first."""
        return list(self._holders)

    def holder(self, name: str) -> Holder | None:
        """What is known of a holder; None if nothing is."""
        return self._holders.get(name)

    def chains(self, name: str) -> list[bytes]:
        """The chains that together make up everything a holder has, oldest first."""
        holder = self._holders.get(name)
        return holder.chains() if holder is not None else []

    def sweep(self, limit: int = SLICE) -> bool:
        """Do a bounded part of the postponed work. Returns True when more is left."""
        self._expire_pendings()
        self._retire_idle()
        if self._oversized:
            self._evict(next(iter(self._oversized)), limit)
        elif self._removed and self._forget(self._removed[0], limit):
            self._removed.popleft()
        return bool(self._oversized or self._removed)

    def _touched_holder(self, name: str) -> Holder:
        holder = self._holders.get(name)
        if holder is None:
            capacity = self._capacities.get(name, self._limits.default_capacity_blocks)
            holder = self._holders[name] = Holder(name, capacity)
        else:
            self._holders.move_to_end(name)
        holder.touched_at = self._clock()
        return holder

    def _confirm(self, holder: Holder, record: Record) -> None:
        chain, pended = record.chain, record.pended
        path, known = self.tree.grow(chain)
        if path:
            self._touch(holder, path, known, record.generated_blocks if known * HASH_BYTES == len(chain) else 0)
        if pended and self._take_back(holder, pended, holder.touched_at):
            self._unpend(holder, path if pended == chain else self.tree.walk(pended)[0], len(pended) // HASH_BYTES)
        for node in path[:-1]:
            if len(node.children) == 1:
                self.tree.merge(node)
        if holder.resident_blocks > holder.capacity_blocks:
            self._evict(holder, SLICE)

    def _touch(self, holder: Holder, path: list[Node], end: int, generated: int) -> None:
        """Make the holder hold the path's first `end` blocks as its newest blocks; among them the deepest is the
        oldest."""
        last = path[-1]
        holding = last.holders.get(holder)
        if holding is not None and holding.extent > end - last.start:
            last = path[-1] = self.tree.split(last, end - last.start)  # the rest was not touched and so is older
        hold = self.tree.hold
        grown = 0
        for node in reversed(path):
            holding = hold(node, holder)
            extent = holding.extent
            start = node.start
            blocks, end = end - start, start
            holder.touch(holding)
            if node is last and (generated or extent < blocks):
                grown += generated - holding.generated
                holding.generated = generated
            elif node is not last and holding.generated:
                grown -= holding.generated  # the next turn's blocks replace them
                holding.generated = 0
            grown += blocks - extent
            holding.extent = blocks
        holder.resident_blocks += grown

    def _pend(self, holder: Holder, chain: bytes) -> None:
        path, known = self.tree.grow(chain)
        if not path or known * HASH_BYTES != len(chain):
            return
        expires_at = holder.touched_at + self._limits.pending_ttl_s
        pending = Pending(holder, chain, expires_at)
        self._pendings[pending] = None
        self._expires_at = min(self._expires_at, expires_at)
        holder.pendings.setdefault(chain[-HASH_BYTES:], deque()).append(pending)
        last = path.pop()
        self.tree.hold(last, holder).pend_ending(known - last.start, 1)
        for node in path:
            self.tree.hold(node, holder).pend_passing(1)

    def _drop(self, holder: Holder, chain: bytes, now: float = -math.inf) -> None:
        if self._take_back(holder, chain, now):
            self._unpend(holder, self.tree.walk(chain)[0], len(chain) // HASH_BYTES)

    def _take_back(self, holder: Holder, chain: bytes, now: float) -> bool:
        """Forget the oldest pending record of exactly this chain that has not expired at `now`, if there is one. An
        expired record is never taken in place of a younger one, even before its expiry was noticed."""
        key = chain[-HASH_BYTES:]
        same = holder.pendings.get(key, ())
        oldest = next((each for each in same if each.expires_at > now), None)
        if oldest is None:
            return False
        holder.pendings[key].remove(oldest)
        del self._pendings[oldest]
        if not same:
            del holder.pendings[key]
        return True

    def _unpend(self, holder: Holder, path: list[Node], end: int) -> None:
        last = path[-1]
        for node in reversed(path):  # from the end, so that no node is left that nothing needs
            holding = node.holders[holder]
            start = node.start
            if node is last:
                holding.pend_ending(end - start, -1)
            else:
                holding.pend_passing(-1)
            if holding.extent < end - start:
                self.tree.settle(holding)
            end = start

    def _expire_pendings(self) -> None:
        now = self._clock()
        if self._expires_at > now:
            return
        for _ in range(SLICE):
            soonest = next(iter(self._pendings), None)
            self._expires_at = soonest.expires_at if soonest is not None else math.inf
            if soonest is None or soonest.expires_at > now:
                break
            self._drop(soonest.holder, soonest.chain)

    def _correct(self, holder: Holder, record: Record) -> None:
        """Forget the first block that was not cached and everything below it: no block can be held behind a hole."""
        kept = len(record.chain) // HASH_BYTES
        path, known = self.tree.walk(record.tail)
        if known <= kept:
            return
        node = next(node for node in reversed(path) if node.start <= kept)
        holding = node.holders.get(holder)
        if holding is None or holding.extent <= kept - node.start:
            return
        for below in reversed(_held_below(node, holder)):
            self._shrink(below, below.generated + below.extent)
        self._shrink(holding, holding.generated + holding.extent - (kept - node.start))

    def _evict(self, holder: Holder, limit: int) -> None:
        for _ in range(limit):
            excess = holder.resident_blocks - holder.capacity_blocks
            oldest = holder.oldest() if excess > 0 else None
            if oldest is None:
                self._oversized.pop(holder, None)
                return
            self.evicted += self._shrink(oldest, excess)
        self._oversized[holder] = None

    def _shrink(self, holding: Holding, blocks: int) -> int:
        """Forget up to `blocks` blocks of a holding, generated ones first, then from the tail; returns how many."""
        generated = min(holding.generated, blocks)
        held = min(holding.extent, blocks - generated)
        holding.generated -= generated
        holding.extent -= held
        holding.holder.resident_blocks -= generated + held
        if not holding.extent:
            unlink(holding)
        if held:
            self.tree.settle(holding)
        return generated + held

    def _retire(self, name: str) -> None:
        holder = self._holders.pop(name, None)
        if holder is not None:
            holder.removed = True
            self._oversized.pop(holder, None)
            self._removed.append(holder)

    def _retire_idle(self) -> None:
        idle_since = self._clock() - self._limits.idle_ttl_s
        while self._holders:
            longest_idle = next(iter(self._holders.values()))
            if longest_idle.touched_at > idle_since:
                break
            self._retire(longest_idle.name)

    def _forget(self, holder: Holder, limit: int) -> bool:
        """Give back the memory of a removed holder; False when the limit came first."""
        for _ in range(limit):
            if holder.pendings:
                self._drop(holder, next(iter(holder.pendings.values()))[0].chain)
            elif (oldest := holder.oldest()) is not None:
                self._shrink(oldest, oldest.generated + oldest.extent)
            else:
                return True
        return False


def _held_below(node: Node, holder: Holder) -> list[Holding]:
    """The holder's holdings below `node`, each after its ancestors."""
    found: list[Holding] = []
    nodes = [node]
    while nodes:
        for child in nodes.pop().children.values():
            holding = child.holders.get(holder)
            if holding is not None and holding.extent:
                found.append(holding)
                nodes.append(child)
    return found
