"""The shape of the tree: a path-compressed radix tree over chains, and how much of each run every holder has.

It does not know records, time or capacity. What must not be broken: siblings differ in their first block; a node has a
child, or a holder that reaches its end (else it is cut or pruned); splitting and merging lose no holding, no pending
count and no place in an LRU list. Comparing a run is one memcmp, so the cost of a walk is in nodes, not blocks.
"""

from router.prefix.index import HASH_BYTES
from router.prefix.node import Holder, Holding, Node, link_after, unlink

WIDE = 16
"""Nodes with more holders than this are left alone (not extended, not merged: both would have to be undone by the next
fork, at a cost that grows with the holders), and keep their holders in order of touch."""


class RadixTree:
    """Nodes and holdings. Its counters are read by the metrics."""

    def __init__(self, max_blocks: int) -> None:
        self.root = Node(None, 0, b"")
        self.max_blocks = max_blocks
        self.blocks = 0
        self.nodes = 0
        self.holdings = 0
        self.refused = 0
        """Chains that were not stored, or only in part, because `max_blocks` was reached."""

    def walk(self, chain: bytes) -> tuple[list[Node], int]:
        """The nodes along `chain` and the number of its blocks that they cover (the last node perhaps in part)."""
        path: list[Node] = []
        children = self.root.children
        pos = 0
        while (child := children.get(chain[pos : pos + HASH_BYTES])) is not None:
            path.append(child)
            run = child.run
            if not chain.startswith(run, pos):
                return path, pos // HASH_BYTES + _common_blocks(run, chain, pos)
            pos += len(run)
            children = child.children
        return path, pos // HASH_BYTES

    def grow(self, chain: bytes) -> tuple[list[Node], int]:
        """Like `walk`, and stores what is missing: all of the chain is covered, unless the tree is full."""
        path, known = self.walk(chain)
        missing = len(chain) // HASH_BYTES - known
        if not missing:
            return path, known
        if self.blocks + missing > self.max_blocks:
            self.refused += 1
            return path, known
        self.blocks += missing
        rest = chain[known * HASH_BYTES :]
        last = path[-1] if path else self.root
        if path and known < last.start + last.blocks():
            last = path[-1] = self.split(last, known - last.start)
        elif path and not last.children and len(last.holders) <= WIDE:
            last.run += rest
            return path, known + missing
        node = last.children[rest[:HASH_BYTES]] = Node(last, known, rest)
        self.nodes += 1
        path.append(node)
        return path, known + missing

    def hold(self, node: Node, holder: Holder) -> Holding:
        """The holder's holding of this node, made if there is none."""
        holding = node.holders.get(holder)
        if holding is None:
            holding = node.holders[holder] = Holding(node, holder)
            self.holdings += 1
        elif len(node.holders) > WIDE:
            del node.holders[holder]
            node.holders[holder] = holding
        return holding

    def settle(self, holding: Holding) -> None:
        """Call after a holding has shrunk: drops it if it is empty, and every part of the tree that no holder needs."""
        node = holding.node
        if not holding.extent and not holding.pending:
            del node.holders[holding.holder]
            self.holdings -= 1
        while node.parent is not None and not node.children:
            blocks = node.blocks()
            longest = _longest_reach(node, blocks)
            self.blocks -= blocks - longest
            if longest:
                if longest < blocks:
                    node.run = node.run[: longest * HASH_BYTES]
                return
            del node.parent.children[node.run[:HASH_BYTES]]
            self.nodes -= 1
            node = node.parent

    def split(self, node: Node, blocks: int) -> Node:
        """Cut `node` after `blocks` blocks. It stays as the lower part, with its children; returns the upper one."""
        parent = node.parent
        assert parent is not None
        cut = blocks * HASH_BYTES
        upper = Node(parent, node.start, node.run[:cut])
        parent.children[node.run[:HASH_BYTES]] = upper
        node.run = node.run[cut:]
        node.start += blocks
        node.parent = upper
        upper.children[node.run[:HASH_BYTES]] = node
        self.nodes += 1
        holdings = list(node.holders.values())
        node.holders.clear()
        for holding in holdings:
            self.holdings += _split_holding(holding, upper, blocks)
        return upper

    def merge(self, node: Node) -> bool:
        """Join `node` with its only child, unless that would lose something. The child object stays and stands for
        both."""
        (child,) = node.children.values()
        parent = node.parent
        if parent is None or len(node.holders) > WIDE or not _mergeable(node, child):
            return False
        child.start = node.start
        child.run = node.run + child.run
        child.parent = parent
        parent.children[child.run[:HASH_BYTES]] = child
        self.nodes -= 1
        self.holdings -= len(child.holders)
        for holder, upper in node.holders.items():
            holding = _merge_holding(upper, child.holders.get(holder), node.blocks())
            child.holders[holder] = holding
            holding.node = child
            holding.measure()
        node.holders.clear()
        return True


def _common_blocks(run: bytes, chain: bytes, pos: int) -> int:
    """How many blocks `run` shares with `chain` from byte `pos`. By bisection: each hash is keyed with its parent, so
    equality of one block means equality of all before it."""
    low, high = 0, min(len(run), len(chain) - pos) // HASH_BYTES
    while low < high:
        at = (low + high) // 2 * HASH_BYTES
        if run[at : at + HASH_BYTES] == chain[pos + at : pos + at + HASH_BYTES]:
            low = at // HASH_BYTES + 1
        else:
            high = at // HASH_BYTES
    return low


def _longest_reach(node: Node, blocks: int) -> int:
    longest = 0
    for holding in node.holders.values():
        longest = max(longest, holding.reach())
        if longest == blocks:
            break
    return longest


def _split_holding(holding: Holding, upper: Node, blocks: int) -> int:
    """Divide one holding of the split node (`holding.node`, the lower part) at `blocks`; returns 1 if it became two.
    The object keeps its place in the LRU list, and so goes where the end of its extent goes."""
    lower, holder = holding.node, holding.holder
    if holding.extent <= blocks and holding.pending <= blocks:
        holding.node = upper
        upper.holders[holder] = holding
        return 0
    other = Holding(upper if holding.extent > blocks else lower, holder)
    if holding.extent > blocks:
        holding.extent -= blocks
        other.extent = blocks
        link_after(other, holding)
        above, below = other, holding
    else:
        above, below = holding, other
        holding.node = upper
    upper.holders[holder] = above
    lower.holders[holder] = below
    _split_pendings(holding, above, below, blocks)
    return 1


def _split_pendings(holding: Holding, above: Holding, below: Holding, blocks: int) -> None:
    """Move the pending counts of `holding`, which is one of the two. Both nodes' runs are cut already."""
    passing, ending = holding.passing, holding.ending or {}
    holding.passing, holding.ending = 0, None
    for extent, count in ending.items():
        if extent > blocks:
            below.pend_ending(extent - blocks, count)
            above.pend_passing(count)
        else:
            above.pend_ending(extent, count)
    below.pend_passing(passing)
    above.pend_passing(passing)


def _mergeable(node: Node, child: Node) -> bool:
    """Joined extents must be of one age (neighbours in the LRU list), and generated blocks stay at an extent's end."""
    for holder, lower in child.holders.items():
        upper = node.holders[holder]
        if lower.extent and (upper.generated or lower.newer is not upper):
            return False
    return True


def _merge_holding(upper: Holding, lower: Holding | None, blocks: int) -> Holding:
    """The holding of both parts, in the node of the lower, whose run is joined already."""
    if lower is None:
        return upper
    ending = {**(upper.ending or {}), **{blocks + extent: count for extent, count in (lower.ending or {}).items()}}
    kept = upper
    if lower.extent:
        unlink(upper)
        kept = lower
        kept.extent += blocks
    kept.passing, kept.ending = lower.passing, ending or None
    return kept
