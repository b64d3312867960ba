"""The tree equals a naive dictionary of prefixes, whatever happens to it, and gives all of its memory back."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from router.prefix.index import HASH_BYTES, Held, Record, State
from router.prefix.node import Holder, Holding, Node
from router.prefix.residency import Limits, Residency
from tests.router.prefix.conftest import Clock, chain_of, confirmed, corrected, dropped, pending

HOLDERS = ["a", "b", "c", "d"]
TTL_S, IDLE_S = 60.0, 600.0


def prefixes(chain: bytes) -> list[bytes]:
    return [chain[:end] for end in range(HASH_BYTES, len(chain) + 1, HASH_BYTES)]


@dataclass
class NaiveBlock:
    stamp: int
    generated: int = 0


@dataclass
class NaiveHolder:
    capacity: int
    touched_at: float = 0.0
    blocks: dict[bytes, NaiveBlock] = field(default_factory=dict)

    def evict(self) -> int:
        """Oldest first; of one age the deepest first, and what was generated behind a block before that block."""
        units = []
        for prefix, block in self.blocks.items():
            units += [(block.stamp, -len(prefix), 0, prefix)] * block.generated
            units.append((block.stamp, -len(prefix), 1, prefix))
        excess = max(0, len(units) - self.capacity)
        for _, _, is_block, prefix in sorted(units)[:excess]:
            if is_block:
                del self.blocks[prefix]
            else:
                self.blocks[prefix].generated -= 1
        return excess


@dataclass
class Naive:
    """The index as a dictionary of prefixes for each holder."""

    max_blocks: int
    default_capacity: int
    now: float
    stamp: int = 0
    refused: int = 0
    evicted: int = 0
    holders: dict[str, NaiveHolder] = field(default_factory=dict)
    capacities: dict[str, int] = field(default_factory=dict)
    pendings: list[tuple[str, bytes, float]] = field(default_factory=list)
    unswept: set[bytes] = field(default_factory=set)
    unswept_pendings: list[tuple[bytes, float]] = field(default_factory=list)

    def stored(self) -> set[bytes]:
        stored = set(self.unswept)
        for holder in self.holders.values():
            stored.update(holder.blocks)
        for chain in [chain for _, chain, _ in self.pendings] + [chain for chain, _ in self.unswept_pendings]:
            stored.update(prefixes(chain))
        return stored

    def fitting(self, chain: bytes) -> bytes:
        """The chain, or the part of it that is stored already when there is no room for the rest."""
        stored = self.stored()
        known = sum(prefix in stored for prefix in prefixes(chain))
        if len(stored) + len(chain) // HASH_BYTES - known <= self.max_blocks:
            return chain
        self.refused += 1
        return chain[: known * HASH_BYTES]

    def touched(self, name: str) -> NaiveHolder:
        holder = self.holders.setdefault(name, NaiveHolder(self.capacities.get(name, self.default_capacity)))
        holder.touched_at = self.now
        return holder

    def apply(self, record: Record) -> None:
        if record.state is State.PENDING:
            self.touched(record.holder)
            if record.chain and self.fitting(record.chain) == record.chain:
                self.pendings.append((record.holder, record.chain, self.now + TTL_S))
        elif record.state is State.CONFIRMED:
            self.confirm(self.touched(record.holder), record)
        elif record.state is State.DROPPED:
            self.drop(record.holder, record.chain)
        elif record.holder in self.holders:
            blocks = self.holders[record.holder].blocks
            hole = record.tail[: len(record.chain) + HASH_BYTES]
            if len(record.tail) > len(record.chain):
                for prefix in [prefix for prefix in blocks if prefix.startswith(hole)]:
                    del blocks[prefix]

    def confirm(self, holder: NaiveHolder, record: Record) -> None:
        self.stamp += 1
        chain = self.fitting(record.chain)
        generated = record.generated_blocks if chain == record.chain else 0
        for prefix in prefixes(chain):
            kept = holder.blocks[prefix].generated if prefix == chain and prefix in holder.blocks else 0
            holder.blocks[prefix] = NaiveBlock(self.stamp, (generated or kept) if prefix == chain else 0)
        self.drop(record.holder, record.pended)
        self.evicted += holder.evict()

    def drop(self, name: str, chain: bytes) -> None:
        oldest = next((entry for entry in self.pendings if entry[:2] == (name, chain)), None)
        if oldest is not None:
            self.pendings.remove(oldest)

    def set_capacity(self, name: str, blocks: int) -> None:
        self.capacities[name] = blocks
        if name in self.holders:
            self.holders[name].capacity = blocks
            self.evicted += self.holders[name].evict()

    def forget(self, name: str) -> None:
        if name in self.holders:
            self.unswept.update(self.holders.pop(name).blocks)
        self.unswept_pendings += [(chain, expires_at) for holder, chain, expires_at in self.pendings if holder == name]
        self.pendings = [entry for entry in self.pendings if entry[0] != name]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.pendings = [entry for entry in self.pendings if entry[2] > self.now]
        self.unswept_pendings = [entry for entry in self.unswept_pendings if entry[1] > self.now]

    def sweep(self) -> None:
        for name in [name for name, holder in self.holders.items() if holder.touched_at + IDLE_S <= self.now]:
            self.forget(name)
        self.unswept.clear()
        self.unswept_pendings.clear()

    def match(self, chain: bytes) -> dict[str, Held]:
        found = {}
        for name, holder in self.holders.items():
            blocks = sum(prefix in holder.blocks for prefix in prefixes(chain))
            pended = {prefix for owner, other, _ in self.pendings if owner == name for prefix in prefixes(other)}
            reach = sum(prefix in holder.blocks or prefix in pended for prefix in prefixes(chain))
            if reach:
                found[name] = Held(blocks, reach)
        return found


def walk(node: Node) -> Iterator[Node]:
    for child in node.children.values():
        yield child
        yield from walk(child)


def listed(holder: Holder) -> list[Holding]:
    """A holder's LRU list, oldest first."""
    holdings: list[Holding] = []
    link = holder.ring.newer
    while isinstance(link, Holding):
        assert link.newer.older is link
        holdings.append(link)
        link = link.newer
    return holdings


def check_node(node: Node) -> None:
    parent = node.parent
    assert parent is not None
    assert parent.children[node.run[:HASH_BYTES]] is node
    assert len(node.run) % HASH_BYTES == 0
    assert node.start == parent.start + parent.blocks()
    assert node.children or max(holding.reach() for holding in node.holders.values()) == node.blocks()
    for holder, holding in node.holders.items():
        assert (holding.node, holding.holder) == (node, holder)
        assert 0 < holding.reach() <= node.blocks()
        assert holding.extent or not holding.generated
        above = parent.holders.get(holder)
        assert parent.parent is None or (above is not None and above.reach() == parent.blocks())
        assert parent.parent is None or not holding.extent or (above is not None and above.extent == parent.blocks())
        below = [child.holders[holder] for child in node.children.values() if holder in child.holders]
        assert holding.passing == sum(child.passing + sum((child.ending or {}).values()) for child in below)
        assert holding.pending == (node.blocks() if holding.passing else max(holding.ending or (0,)))


def check_tree(residency: Residency) -> None:
    """All that must hold between two records."""
    tree = residency.tree
    nodes = list(walk(tree.root))
    assert tree.nodes == len(nodes)
    assert tree.blocks == sum(node.blocks() for node in nodes)
    assert tree.holdings == sum(len(node.holders) for node in nodes)
    for node in nodes:
        check_node(node)
    by_holder: dict[Holder, list[Holding]] = {}
    for holding in (holding for node in nodes for holding in node.holders.values() if holding.extent):
        by_holder.setdefault(holding.holder, []).append(holding)
    for holder, holdings in by_holder.items():
        order = {holding: place for place, holding in enumerate(listed(holder))}
        assert set(order) == set(holdings)
        assert holder.resident_blocks == sum(holding.extent + holding.generated for holding in holdings)
        assert holder.removed or holder.resident_blocks <= holder.capacity_blocks
        for holding in holdings:
            above = holding.node.parent
            assert above is None or above.parent is None or order[holding] < order[above.holders[holder]]


class TreeEqualsNaive(RuleBasedStateMachine):
    chains = Bundle("chains")
    pended = Bundle("pended")
    holders = st.sampled_from(HOLDERS)

    @initialize(
        target=chains, max_blocks=st.sampled_from([15, 40, 100_000]), capacity=st.sampled_from([5, 20, 100_000])
    )
    def start(self, max_blocks: int, capacity: int) -> bytes:
        self.clock = Clock()
        limits = Limits(max_blocks, capacity, TTL_S, IDLE_S)
        self.residency = Residency(limits, self.clock)
        self.naive = Naive(max_blocks, capacity, self.clock.now)
        self.asked = {b"", chain_of("000000")}
        return chain_of("000000")

    def grown(self, chain: bytes, tail: str) -> bytes:
        grown = chain_of(tail, chain)
        self.asked.add(grown)
        return grown

    @rule(target=chains, chain=chains, kept=st.integers(0, 12), tail=st.text("01", max_size=6))
    def fork(self, chain: bytes, kept: int, tail: str) -> bytes:
        return self.grown(chain[: kept * HASH_BYTES], tail)

    @rule(target=chains, chain=chains, tail=st.text("01", min_size=1, max_size=3))
    def next_turn(self, chain: bytes, tail: str) -> bytes:
        return self.grown(chain, tail)

    def both(self, record: Record) -> None:
        self.residency.apply(record)
        self.naive.apply(record)

    @rule(holder=holders, chain=chains, generated=st.integers(0, 3))
    def confirm(self, holder: str, chain: bytes, generated: int) -> None:
        self.both(confirmed(holder, chain, generated))

    @rule(target=chains, holder=holders, chain=chains, tail=st.text("01", max_size=2), generated=st.integers(1, 3))
    def two_turns(self, holder: str, chain: bytes, tail: str, generated: int) -> bytes:
        longer = self.grown(chain, tail)
        self.both(confirmed(holder, chain, generated))
        self.both(confirmed(holder, longer))
        return longer

    @rule(target=pended, holder=holders, chain=chains)
    def pend(self, holder: str, chain: bytes) -> tuple[str, bytes]:
        self.both(pending(holder, chain))
        return holder, chain

    @rule(entry=pended)
    def drop(self, entry: tuple[str, bytes]) -> None:
        self.both(dropped(*entry))

    @rule(entry=pended, generated=st.integers(0, 3))
    def confirm_pended(self, entry: tuple[str, bytes], generated: int) -> None:
        self.both(confirmed(*entry, generated, pended=entry[1]))

    @rule(entry=pended, kept=st.integers(0, 12), tail=st.text("23", max_size=3), generated=st.integers(0, 3))
    def confirm_estimated(self, entry: tuple[str, bytes], kept: int, tail: str, generated: int) -> None:
        holder, estimated = entry
        chain = self.grown(estimated[: kept * HASH_BYTES], tail)
        self.both(confirmed(holder, chain, generated, pended=estimated))

    @rule(holder=holders, chain=chains, kept=st.integers(0, 12))
    def correct(self, holder: str, chain: bytes, kept: int) -> None:
        self.both(corrected(holder, chain[: kept * HASH_BYTES], chain))

    @rule(holder=holders, blocks=st.integers(0, 30))
    def set_capacity(self, holder: str, blocks: int) -> None:
        self.residency.set_capacity(holder, blocks)
        self.naive.set_capacity(holder, blocks)

    @rule(holder=holders)
    def remove_worker(self, holder: str) -> None:
        self.residency.remove_worker(holder)
        self.naive.capacities.pop(holder, None)
        self.naive.forget(holder)

    @rule()
    def sweep(self) -> None:
        while self.residency.sweep():
            pass
        self.naive.sweep()

    @rule(seconds=st.sampled_from([20.0, 59.0, 60.0, 300.0]))
    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.naive.advance(seconds)

    @invariant()
    def equal(self) -> None:
        for chain in self.asked:
            expected = self.naive.match(chain)
            assert self.residency.find(chain) == expected
            assert self.residency.find(chain, HOLDERS) == expected
        check_tree(self.residency)
        assert self.residency.tree.blocks == len(self.naive.stored())
        assert self.residency.tree.refused == self.naive.refused
        assert self.residency.evicted == self.naive.evicted
        assert self.residency.pendings == len(self.naive.pendings) + len(self.naive.unswept_pendings)

    def teardown(self) -> None:
        for holder in HOLDERS:
            self.remove_worker(holder)
        self.sweep()
        tree = self.residency.tree
        assert (tree.blocks, tree.nodes, tree.holdings, self.residency.pendings) == (0, 0, 0, 0)
        assert not tree.root.children


TestTreeEqualsNaive = TreeEqualsNaive.TestCase
TestTreeEqualsNaive.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
