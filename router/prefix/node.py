"""The parts of the tree: nodes, holdings, and holders with their blocks in LRU order.

What must not be broken: a holding with an extent is in its holder's LRU list, and one without is not; a holder's
descendants stand before their ancestors in that list, so that its oldest holding never has anything held below it.
"""

from __future__ import annotations

from collections import deque

from router.prefix.index import HASH_BYTES


class LruLink:
    """A place in a holder's LRU list: a ring, closed by one bare link that belongs to the holder."""

    __slots__ = ("newer", "older")

    newer: LruLink
    older: LruLink


class Holding(LruLink):
    """What one holder has of one node's run. Counts are blocks from the run's start."""

    __slots__ = ("ending", "extent", "generated", "holder", "node", "passing", "pending")

    def __init__(self, node: Node, holder: Holder) -> None:
        self.node = node
        self.holder = holder
        self.extent = 0
        """Blocks held. More than 0 only if the holder has the whole of every ancestor's run."""
        self.generated = 0
        """Blocks of output cached behind the extent: they take room and are never credited."""
        self.passing = 0
        """Pending records whose chains have the whole run and go on below."""
        self.ending: dict[int, int] | None = None
        """Pending records whose chains end in this run: their number at each extent."""
        self.pending = 0
        """The longest pending extent, 0 for none."""

    def reach(self) -> int:
        """Blocks of the run that are held or pending."""
        return self.extent if self.extent > self.pending else self.pending

    def pend_passing(self, count: int) -> None:
        """Count pending records that go on below this run, or take them back."""
        self.passing += count
        self.measure()

    def pend_ending(self, extent: int, count: int) -> None:
        """Count pending records that end `extent` blocks into the run, or take them back."""
        ending = self.ending or {}
        ending[extent] = ending.get(extent, 0) + count
        if not ending[extent]:
            del ending[extent]
        self.ending = ending or None
        self.measure()

    def measure(self) -> None:
        """Compute `pending` from the counts."""
        if self.passing:
            self.pending = self.node.blocks()
        else:
            self.pending = max(self.ending) if self.ending else 0


class Node:
    """A run of consecutive blocks, below the one prefix that leads to it."""

    __slots__ = ("children", "holders", "parent", "run", "start")

    def __init__(self, parent: Node | None, start: int, run: bytes) -> None:
        self.parent = parent
        self.start = start
        """Depth of the run's first block."""
        self.run = run
        self.children: dict[bytes, Node] = {}
        """Children by the first hash of their run."""
        self.holders: dict[Holder, Holding] = {}
        """Holdings by holder. In a wide node the most recently touched one is last."""

    def blocks(self) -> int:
        """Length of the run."""
        return len(self.run) // HASH_BYTES


class Pending:
    """One PENDING record that is neither confirmed nor dropped."""

    __slots__ = ("chain", "expires_at", "holder")

    def __init__(self, holder: Holder, chain: bytes, expires_at: float) -> None:
        self.holder = holder
        self.chain = chain
        self.expires_at = expires_at


class Holder:
    """One incarnation of a worker, as the tree knows it. Compared by identity: a name may come back after a removal."""

    __slots__ = ("capacity_blocks", "name", "pendings", "removed", "resident_blocks", "ring", "touched_at")

    def __init__(self, name: str, capacity_blocks: int) -> None:
        self.name = name
        self.capacity_blocks = capacity_blocks
        self.resident_blocks = 0
        """Sum of the extents and the generated blocks of its holdings."""
        self.removed = False
        """True when it is no longer matched, and its holdings are not swept yet."""
        self.touched_at = 0.0
        self.pendings: dict[bytes, deque[Pending]] = {}
        """Pending records by their chain's last hash, which stands for the whole chain; oldest first."""
        self.ring = LruLink()
        self.ring.newer = self.ring.older = self.ring

    def oldest(self) -> Holding | None:
        """The holding that an engine would evict first."""
        link = self.ring.newer
        return link if isinstance(link, Holding) else None

    def chains(self) -> list[bytes]:
        """The chains that together make up everything it has, oldest first; none is a part of another."""
        found: list[bytes] = []
        covered: set[Holding] = set()
        link = self.ring.newer
        while isinstance(link, Holding):
            if link not in covered:
                runs = [link.node.run[: link.extent * HASH_BYTES]]
                node = link.node.parent
                while node is not None and node.parent is not None:
                    covered.add(node.holders[self])
                    runs.append(node.run)
                    node = node.parent
                found.append(b"".join(reversed(runs)))
            link = link.newer
        return found

    def touch(self, holding: Holding) -> None:
        """Make a holding the newest. It is in the list already if it has an extent."""
        if holding.extent:
            older, newer = holding.older, holding.newer
            older.newer = newer
            newer.older = older
        ring = self.ring
        newest = ring.older
        newest.newer = ring.older = holding
        holding.older = newest
        holding.newer = ring


def unlink(link: LruLink) -> None:
    """Take a holding out of its holder's list."""
    older, newer = link.older, link.newer
    older.newer = newer
    newer.older = older


def link_after(link: LruLink, older: LruLink) -> None:
    """Put an unlinked holding right behind `older`, as the next newer one."""
    newer = older.newer
    older.newer = newer.older = link
    link.older = older
    link.newer = newer
