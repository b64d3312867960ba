"""A request's items: raw messages, of which the first may stay unread because their bytes were read before.

An item's place is its number; place k also stands for the start that the first k items make. A start's digest chains
its items', so it can be continued from any known start. Keyed by a seed, so that nobody outside can make two starts
of one digest.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final, overload

import msgspec
import xxhash

_MARKED_END = 160
"""Marks stand on the last part of a message: its last bytes show them."""
_MARK: Final = b'"cache_control"'
_CACHE_CONTROL = re.compile(
    rb',\s*"cache_control"\s*:\s*\{\s*"type"\s*:\s*"ephemeral"\s*(?:,\s*"ttl"\s*:\s*"\w+"\s*)?\}'
)


class NotRead(Exception):
    """Items are asked for that were recognised by their bytes, and reading them would take long: do it in a thread."""


class Start(msgspec.Struct, frozen=True):
    """The first `count` items of a conversation."""

    count: int = 0
    digest: bytes = b""


NOTHING: Final = Start()


class Items:
    """All items of one request. `unread` is the start that was recognised by its bytes; `read` are those after it."""

    __slots__ = ("_digests", "_read_all", "_whole", "hasty", "read", "seed", "unread")

    def __init__(
        self,
        read: list[msgspec.Raw],
        seed: int = 0,
        unread: Start = NOTHING,
        read_all: "Callable[[], Items] | None" = None,
    ) -> None:
        self.read = read
        self.seed = seed
        self.unread = unread
        self._read_all = read_all
        """Reads the unread ones after all: only where somebody asks for them."""
        self.hasty = False
        """Raise NotRead rather than read the unread ones."""
        self._whole: Items | None = None
        self._digests: list[bytes] | None = None

    def __len__(self) -> int:
        return self.unread.count + len(self.read)

    def since(self, place: int) -> list[msgspec.Raw]:
        """The items from `place` on."""
        first = self.unread.count
        return self.read[place - first :] if place >= first else self._all().read[place:]

    def digest(self, place: int) -> bytes:
        """16 bytes that stand for the first `place` items (none for no items)."""
        first = self.unread.count
        if place < first:
            return self._all().digest(place)
        if self._digests is None:
            self._digests = digests(self.unread.digest, unmarked(self.read), self.seed)
        return self._digests[place - first]

    def start(self, place: int) -> Start:
        """The first `place` items."""
        return Start(place, self.digest(place))

    def _all(self) -> "Items":
        if self._whole is None:
            if self.hasty:
                raise NotRead
            self._whole = self._read_all() if self._read_all is not None else self
        return self._whole


class Keys(Sequence[bytes]):
    """Keys of a conversation's starts, made when asked for: number k stands for the context and the first k items."""

    def __init__(self, context: bytes, items: Items) -> None:
        self._context = context
        self._items = items

    def __len__(self) -> int:
        return len(self._items) + 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        items = self._items
        digest = items.digest(place if place >= 0 else place + len(self))
        return xxhash.xxh3_128_digest(self._context + digest, items.seed)


def seed_of(secret: bytes) -> int:
    """The seed that belongs to a secret: equal in all processes that share it."""
    return int.from_bytes(hashlib.blake2b(secret, digest_size=8, person=b"items").digest(), "little")


def digests(before: bytes, items: Sequence[msgspec.Raw], seed: int) -> list[bytes]:
    """Digests of the starts that `items` make after the start whose digest is `before`, that one first."""
    found = [before]
    for item in items:
        before = xxhash.xxh3_128_digest(b"".join((before, item)), seed)
        found.append(before)
    return found


def first_marked(items: Sequence[msgspec.Raw]) -> int:
    """The number of the first item that bears a cache mark; their count where none does."""
    for number, item in enumerate(items):
        if is_marked(item):
            return number
    return len(items)


def is_marked(item: msgspec.Raw) -> bool:
    """Does it bear one of Anthropic's cache marks? They move on from turn to turn."""
    raw = bytes(item)
    return raw.find(_MARK, max(0, len(raw) - _MARKED_END)) >= 0


def unmarked(items: Sequence[msgspec.Raw]) -> Sequence[msgspec.Raw]:
    """Items as they count for recognition: without cache marks at their ends. An assistant's tool input is left alone:
    a key of that name may be its own."""
    found = list(items)
    for number, item in enumerate(items):
        if is_marked(item) and b'"tool_use"' not in (raw := bytes(item)):
            found[number] = msgspec.Raw(_CACHE_CONTROL.sub(b"", raw))
    return found
