"""What one worker holds by its own word: engine blocks, and the cells of our chain that they fill.

A cell is one block of the chain: `cell_tokens` ids in one or more engine blocks. It is held while all of its engine
blocks are, and counts where all cells before it are held too. Conversations that part inside a cell have a cell each,
the later one with the first one's engine blocks at its head. Removals name engine blocks alone, so a map leads from
these to their cells.

Memory: 20 bytes a token with blocks of 16 tokens, 160 with pages of one; ids are 4 of these, and stay in this process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from router.kv_events.batches import Cleared, Event, Removed, Stored
from router.prefix.index import HASH_BYTES
from tokenizer_cache.conversations.chain import ID_BYTES, Chain

MAX_COPIES = 255
"""Copies of one engine block that are counted: requests that compute the same prompt at once store it twice."""
MAX_BLOCKS = 2_000_000
"""Engine blocks of one worker that are known at most; with more of them the worker is simulated again."""
MAX_CHAIN_BLOCKS = 1 << 17
"""Blocks of one prompt's chain at most: 8 million tokens in blocks of 64. Danger: the router's event loop takes a chain
in at once."""
MAX_ID_BYTES = 256 << 20
"""Bytes of one worker's token ids at most: 64 million ids. Danger: each branch repeats its cell's head, and a cell is
as large as the engine says. 2,000,000 branches of one cell of 65,536 tokens are 500 GB."""
MAX_STEMS = 256
"""Depth at most to which the branches of one cell branch again. Danger: these are gone through by recursion, which
Python ends at 1,000."""
MAX_CHAIN_BYTES = 64 << 20
"""Bytes at most of the chains that are told at once. Danger: each repeats what it begins with, so that 100,000 ends of
one chain of as many blocks are 80 GB."""


class FullLedgerError(Exception):
    """More blocks, ids or branches than are known at most, or more chains than are told."""


class Cell:
    """One block of the chain, perhaps not full yet."""

    __slots__ = ("branches", "children", "copies", "first", "hash", "hashes", "ids", "parent", "stem", "stems")

    def __init__(self, parent: Cell | None, stem: Cell | None = None, first: int = 0) -> None:
        self.parent = parent
        """The cell before it; None at a prompt's start."""
        self.stem = stem
        """The cell with which it shares its first engine blocks."""
        self.first = first
        """How many engine blocks it shares with its stem."""
        self.stems: int = stem.stems + 1 if stem is not None else 0
        """Cells from which it branches off, one from the other."""
        self.copies = bytearray()
        """How many copies of each of its own engine blocks are held."""
        self.hashes: list[int] = []
        self.ids = bytearray()
        """The token ids of all its engine blocks."""
        self.hash = b""
        """The hash of its block in the chain; empty until it is full."""
        self.children: dict[Cell, None] = {}
        self.branches: dict[Cell, None] = {}
        """Cells whose stem it is."""

    def has(self, blocks: int) -> bool:
        """Are its first `blocks` engine blocks held?"""
        own = max(0, blocks - self.first)
        if own and not all(self.copies[:own]):
            return False
        return self.stem is None or self.stem.has(min(blocks, self.first))

    @property
    def blocks(self) -> int:
        return self.first + len(self.copies)


class Changes(NamedTuple):
    """What has changed since the last time."""

    lost: list[bytes]
    """Chains whose last block is not held any more, nor anything behind it."""
    held: list[bytes]
    """Chains that are held as a whole."""


class Ledger:
    """What one worker holds, as blocks of one of its model's names. `root` is the parent of each prompt's first
    block."""

    def __init__(self, chain: Chain, root: bytes, counts: Counter[str], max_blocks: int = MAX_BLOCKS) -> None:
        self._chain = chain
        self._root = root
        self._counts = counts
        self._max_blocks = max_blocks
        self._cells: dict[int, tuple[Cell, int]] = {}
        """The cell of each known engine block, and its place there."""
        self._id_bytes = 0
        self._touched: dict[Cell, int] = {}
        """Cells of which an engine block has come or gone, with the first such one."""

    def __len__(self) -> int:
        """How many engine blocks are known."""
        return len(self._cells)

    def apply(self, event: Event) -> None:
        """Take one event in. Raises FullLedgerError."""
        if isinstance(event, Removed):
            self._remove(event.hashes)
        elif isinstance(event, Cleared):
            self.clear()
        else:
            self._store(event)

    def clear(self) -> None:
        """Forget all: the worker holds nothing, or what it holds is not known any more."""
        self._cells.clear()
        self._touched.clear()
        self._id_bytes = 0

    def changes(self) -> Changes:
        """What has changed since the last call. Raises FullLedgerError."""
        touched = self._spread()
        size = self._chain.block_bytes
        gone, leaves = list[Cell](), list[Cell]()
        whole, seen = dict[Cell, bool](), set[Cell]()
        for cell in touched:
            if not cell.hash:
                continue
            if not _is_held(cell, size):
                if cell.parent not in touched or _is_held(cell.parent, size):
                    gone.append(cell)
            elif _is_whole(cell, size, whole):
                leaves += _leaves(cell, size, seen)
        lost, held = _chains_of(gone), _chains_of(leaves)
        for cell in touched:
            self._collect(cell)
        return Changes(lost, held)

    def chains(self) -> list[bytes]:
        """Everything that counts, as the longest chains."""
        size = self._chain.block_bytes
        cells = dict.fromkeys(cell for cell, _ in self._cells.values() if cell.parent is None)
        seen = set[Cell]()
        return _chains_of([leaf for cell in cells if _is_held(cell, size) for leaf in _leaves(cell, size, seen)])

    def _store(self, event: Stored) -> None:
        width = event.block_tokens * ID_BYTES
        if self._chain.block_bytes % width:
            self._counts["block_size"] += 1
            return
        at: tuple[Cell, int] | None = None
        if event.parent is not None and (at := self._cells.get(event.parent)) is None:
            self._counts["unknown_parent"] += 1
            return
        if len(self._cells) + len(event.hashes) > self._max_blocks:
            raise FullLedgerError
        cell, filled = (None, 0) if at is None else (at[0], at[1] + 1)
        for number, engine_hash in enumerate(event.hashes):
            known = self._cells.get(engine_hash)
            if known is not None:
                cell, filled = known[0], known[1] + 1
                place = known[1] - cell.first
                cell.copies[place] = min(MAX_COPIES, cell.copies[place] + 1)
            else:
                ids = event.ids[number * width : (number + 1) * width]
                cell = self._room(cell, filled, width)
                self._fill(cell, engine_hash, ids)
                filled = cell.blocks
            self._touch(cell, filled - 1)

    def _room(self, cell: Cell | None, filled: int, width: int) -> Cell:
        """The cell that the next engine block belongs to, behind the first `filled` ones of `cell`."""
        if cell is None or filled * width == self._chain.block_bytes:
            new = Cell(cell)
            if cell is not None:
                cell.children[new] = None
            return new
        if filled == cell.blocks:
            return cell
        if cell.stems >= MAX_STEMS:
            raise FullLedgerError
        branch = Cell(cell.parent, cell, filled)
        branch.ids = cell.ids[: filled * width]
        self._id_bytes += len(branch.ids)
        cell.branches[branch] = None
        if cell.parent is not None:
            cell.parent.children[branch] = None
        return branch

    def _fill(self, cell: Cell, engine_hash: int, ids: bytes) -> None:
        self._cells[engine_hash] = (cell, cell.blocks)
        cell.hashes.append(engine_hash)
        cell.copies.append(1)
        cell.ids += ids
        self._id_bytes += len(ids)
        if self._id_bytes > MAX_ID_BYTES:
            raise FullLedgerError
        if len(cell.ids) == self._chain.block_bytes:
            parent = self._root if cell.parent is None else cell.parent.hash
            cell.hash, _ = self._chain.extend(parent, b"", bytes(cell.ids))

    def _remove(self, hashes: Sequence[int]) -> None:
        for engine_hash in hashes:
            known = self._cells.get(engine_hash)
            if known is None:
                self._counts["unknown_block"] += 1
                continue
            cell, place = known
            copies = cell.copies[place - cell.first]
            if copies:
                cell.copies[place - cell.first] = copies - 1
                if copies == 1:
                    self._touch(cell, place)

    def _touch(self, cell: Cell, place: int) -> None:
        """An engine block of the cell has come or gone."""
        if self._touched.get(cell, place + 1) > place:
            self._touched[cell] = place

    def _spread(self) -> dict[Cell, int]:
        """The touched cells, and all that have the touched blocks from their stems. Danger: with the branches looked
        for at each touch, 65,000 removals from the end of one cell with 2,000 branches take 16 s."""
        touched, self._touched = self._touched, {}
        by_stems: dict[int, list[Cell]] = {}
        for cell in touched:
            by_stems.setdefault(cell.stems, []).append(cell)
        stems = min(by_stems, default=0)
        while by_stems:  # a cell's place is known once all its stems were looked at
            for cell in by_stems.pop(stems, ()):
                place = touched[cell]
                for branch in cell.branches:
                    if branch.first > place:
                        if branch not in touched:
                            by_stems.setdefault(branch.stems, []).append(branch)
                        touched[branch] = min(place, touched.get(branch, place))
            stems += 1
        return touched

    def _collect(self, cell: Cell | None) -> None:
        """Forget cells of which nothing is held and on which nothing hangs."""
        while cell is not None and not any(cell.copies) and not cell.children and not cell.branches:
            for engine_hash in cell.hashes:
                self._cells.pop(engine_hash, None)
            self._id_bytes -= len(cell.ids)
            cell.hashes, cell.ids = [], bytearray()
            stem, parent = cell.stem, cell.parent
            if stem is not None and cell in stem.branches:
                del stem.branches[cell]
                self._collect(stem)
            if parent is not None and cell in parent.children:
                del parent.children[cell]
            cell = parent


def _is_held(cell: Cell | None, size: int) -> bool:
    return cell is None or (len(cell.ids) == size and cell.has(cell.blocks))


def _before(cell: Cell) -> Iterator[Cell]:
    """The cell and those before it."""
    at: Cell | None = cell
    while at is not None:
        yield at
        at = at.parent


def _is_whole(cell: Cell, size: int, known: dict[Cell, bool]) -> bool:
    """Are the cell and all before it held? `known` has what was found before: each cell is looked at once."""
    path: list[Cell] = []
    at: Cell | None = cell
    while at is not None and at not in known and _is_held(at, size):
        path.append(at)
        at = at.parent
    whole = at is None or known.get(at, False)
    known.update(dict.fromkeys(path, whole))
    return whole


def _leaves(cell: Cell, size: int, seen: set[Cell]) -> list[Cell]:
    """The last held cells of all chains that go on from a held one, but for those that go on from one in `seen`."""
    leaves, cells = [], [cell]
    while cells:
        at = cells.pop()
        if at in seen:
            continue
        seen.add(at)
        further = [child for child in at.children if _is_held(child, size)]
        if further:
            cells += further
        else:
            leaves.append(at)
    return leaves


def _chain_of(cell: Cell) -> bytes:
    return b"".join(reversed([each.hash for each in _before(cell)]))


def _chains_of(cells: Sequence[Cell]) -> list[bytes]:
    """The whole chains that end with these cells. Raises FullLedgerError."""
    chains, found = list[bytes](), 0
    for cell in cells:
        chains.append(_chain_of(cell))
        if len(chains[-1]) > MAX_CHAIN_BLOCKS * HASH_BYTES:
            raise FullLedgerError
        found += len(chains[-1])
        if found > MAX_CHAIN_BYTES:
            raise FullLedgerError
    return chains
