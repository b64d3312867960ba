"""The conversation cache: how far each known conversation has been turned into blocks.

A *boundary* is a place in a conversation (its context and first k items) whose blocks are known exactly. A growing
conversation would need quadratic room if every boundary held its own chain: boundaries of one conversation share one
*spine* that only grows, and keep counts into it. Bounded in bytes over all caches of a process, least recently used
first out. One lock, held for microseconds: encoder threads add while the event loop finds.
"""

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tokenizer_cache.conversations.chain import HASH_BYTES, ID_BYTES
from tokenizer_cache.conversations.journal import Journal, JournalEntry

DEFAULT_ROOM_BYTES: Final = 256 << 20
_BOUNDARY_BYTES: Final = 540
"""Size of a key, a Boundary and their place in the table, without what depends on the prompt."""
_SPINE_BYTES: Final = 800


class Spine:
    """A chain that the boundaries of one conversation share. Only its tip may extend it, under the cache's lock."""

    __slots__ = ("chain", "ids", "tip", "users")

    def __init__(self, chain: bytes = b"", ids: bytes = b"") -> None:
        self.chain = bytearray(chain)
        self.ids = bytearray(ids)
        """Packed ids, where they are kept: 4 bytes a token, where the chain takes 8 a block."""
        self.users = 0
        self.tip: Boundary | None = None
        """The boundary that came last."""


@dataclass(slots=True, eq=False)
class Boundary:
    """What is known at one place of a conversation. Once it is in the cache, only the last two fields change."""

    spine: Spine
    blocks: int
    """Full blocks before the cut, in `spine`."""
    remainder: bytes
    """Packed ids (or text bytes) after the last full block, up to the cut."""
    tokens: int
    """Tokens before the cut."""
    chars: int = 0
    """Length of the rendered text before the cut."""
    text: bytes = b""
    """Fingerprint of that text: proves that another rendering begins with it."""
    overhang: str = ""
    """Rendered text from the cut to the end of the last item; only where `shape` is given."""
    shape: str | None = None
    """The known items' kinds, condensed; None where the tail must not be rendered alone."""
    ending: bytes | None = None
    """Packed ids from the cut to the end of the whole prompt, where the prompt ended here."""
    used: int = 0
    """The room's tick at its last use."""
    key: bytes = b""
    """Its key in the cache, once it is there."""

    def chain(self) -> bytes:
        return bytes(self.spine.chain[: self.blocks * HASH_BYTES])

    def ids(self) -> bytes:
        """Packed ids before the cut; only where they are kept."""
        return bytes(self.spine.ids[: self.tokens * ID_BYTES])

    def parent(self, root: bytes) -> bytes:
        end = self.blocks * HASH_BYTES
        return bytes(self.spine.chain[end - HASH_BYTES : end]) if end else root


class LearnedBoundary(NamedTuple):
    """A boundary in the form that other routers may get: it holds no ids and no text."""

    key: bytes
    parent: bytes
    """Key of the boundary that it was grown from; empty for none."""
    chain: bytes
    tokens: int


class Room:
    """The memory that all conversation caches of a process share. The least recently used boundary of all caches is
    evicted first. Sizes are estimates on the high side."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.evictions = 0
        self.lock = threading.Lock()
        """Held for microseconds, while a cache is changed."""
        self.tick = itertools.count().__next__
        """Stands for the time of a use."""
        self._caches: list[Conversations] = []

    def join(self, cache: "Conversations") -> None:
        """Let one more cache share the room."""
        self._caches.append(cache)

    def clear(self) -> None:
        """Forget everything, and the caches too: their owners are replaced."""
        with self.lock:
            for cache in self._caches:
                cache.empty()
            self._caches.clear()

    def make(self) -> None:
        """Evict until all caches fit. The caller holds the lock."""
        while self.size_bytes > self.max_bytes:
            oldest = min(self._caches, key=lambda cache: cache.oldest)
            if not oldest:
                return
            oldest.evict()
            self.evictions += 1


class Conversations:
    """Boundaries by key."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.keep_ids = False
        """Keep the ids of conversations, not only their hashes."""
        self.on_learned: Callable[[LearnedBoundary], None] | None = None
        """Called with what is added here, in the thread that adds it."""
        self._boundaries: OrderedDict[bytes, Boundary] = OrderedDict()
        self._lock = room.lock
        self._journal: Journal | None = None
        self._tag = b""
        room.join(self)

    def share(self, journal: Journal, tag: bytes) -> None:
        """Send what is added here to sibling processes, and add what they send under the same `tag`."""
        self._journal, self._tag = journal, tag
        journal.join(tag, self._take)

    @property
    def oldest(self) -> float:
        """When the least recently used boundary was used."""
        return next(iter(self._boundaries.values())).used if self._boundaries else math.inf

    def evict(self) -> None:
        """Forget the least recently used boundary. Called by the room, which holds the lock."""
        self._drop(next(iter(self._boundaries)))

    def empty(self) -> None:
        """Forget all boundaries. Called by the room, which holds the lock."""
        while self._boundaries:
            self.evict()

    def __len__(self) -> int:
        return len(self._boundaries)

    def find(self, keys: Sequence[bytes], end: int | None = None) -> tuple[int, Boundary | None]:
        """The place and the boundary of the deepest known key among `keys[:end]`. Counts as a use."""
        if self._journal is not None:
            self._journal.poll()
        boundaries = self._boundaries
        for place in range((len(keys) if end is None else end) - 1, -1, -1):
            key = keys[place]
            found = boundaries.get(key)
            if found is not None:
                with self._lock:
                    if key in boundaries:  # another thread may have evicted it meanwhile
                        boundaries.move_to_end(key)
                        found.used = self.room.tick()
                return place, found
        return 0, None

    def grow(self, base: Boundary | None, new_chain: bytes, new_ids: bytes = b"") -> tuple[Spine, int]:
        """The spine that holds `base`'s blocks and then `new_chain`, and its count of blocks. `new_ids` follow those
        before `base`'s cut."""
        new_ids = new_ids if self.keep_ids else b""
        if base is None:
            return Spine(new_chain, new_ids), len(new_chain) // HASH_BYTES
        ids_end = base.tokens * ID_BYTES if self.keep_ids else 0
        end = base.blocks * HASH_BYTES
        with self._lock:
            spine = base.spine
            if spine.tip is base and len(spine.chain) == end and len(spine.ids) == ids_end:
                spine.chain += new_chain
                spine.ids += new_ids
                self.room.size_bytes += len(new_chain) + len(new_ids) if spine.users else 0
            else:
                spine = Spine(bytes(spine.chain[:end]) + new_chain, bytes(spine.ids[:ids_end]) + new_ids)
        return spine, (end + len(new_chain)) // HASH_BYTES

    def add(self, key: bytes, boundary: Boundary, parent: Boundary | None = None) -> None:
        """Remember a boundary (replacing one of the same key), and evict what no longer has room. `parent` is what it
        was grown from."""
        self._put(key, boundary)
        if self.on_learned is not None:
            self.on_learned(
                LearnedBoundary(key, parent.key if parent is not None else b"", boundary.chain(), boundary.tokens)
            )
        if self._journal is not None:
            self._journal.append(
                JournalEntry(
                    self._tag,
                    key,
                    parent.key if parent is not None else b"",
                    boundary.chain(),
                    boundary.ids() if self.keep_ids else b"",
                    boundary.remainder,
                    boundary.tokens,
                    boundary.chars,
                    boundary.text,
                    boundary.overhang,
                    boundary.shape,
                    boundary.ending,
                )
            )

    def _take(self, entry: JournalEntry) -> None:
        """Add a boundary that a sibling sent."""
        if self.keep_ids and len(entry.ids) != entry.tokens * ID_BYTES:
            return
        base = self._boundaries.get(entry.parent)
        if base is None or not (entry.chain.startswith(base.chain()) and entry.ids.startswith(base.ids())):
            spine, blocks = self.grow(None, entry.chain, entry.ids)
        else:
            rest = entry.chain[base.blocks * HASH_BYTES :]
            spine, blocks = self.grow(base, rest, entry.ids[base.tokens * ID_BYTES :])
        boundary = Boundary(
            spine,
            blocks,
            entry.remainder,
            entry.tokens,
            entry.chars,
            entry.text,
            entry.overhang,
            entry.shape,
            entry.ending,
        )
        self._put(entry.key, boundary)

    def _put(self, key: bytes, boundary: Boundary) -> None:
        boundary.key = key
        with self._lock:
            boundary.spine.tip = boundary
            self._drop(key)
            self._boundaries[key] = boundary
            boundary.used = self.room.tick()
            self.room.size_bytes += _size(boundary)
            if not boundary.spine.users:
                self.room.size_bytes += _size_of_spine(boundary.spine)
            boundary.spine.users += 1
            self.room.make()

    def remove(self, key: bytes) -> None:
        """Forget one boundary, if it is there."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        boundary = self._boundaries.pop(key, None)
        if boundary is None:
            return
        self.room.size_bytes -= _size(boundary)
        boundary.spine.users -= 1
        if not boundary.spine.users:
            self.room.size_bytes -= _size_of_spine(boundary.spine)
            boundary.spine.tip = None  # else only the collector of cycles would free it


def _size_of_spine(spine: Spine) -> int:
    return _SPINE_BYTES + len(spine.chain) + len(spine.ids)


def _size(boundary: Boundary) -> int:
    text = len(boundary.overhang) * 2 + len(boundary.shape or "")
    return _BOUNDARY_BYTES + len(boundary.remainder) + text + len(boundary.ending or b"")
