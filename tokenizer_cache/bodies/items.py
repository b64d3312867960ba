"""A request's items: raw messages, of which the first may stay unread because their bytes were read before.

An item's *place* is its number; place k also stands for the start that the first k items make. A start's digest chains
its items' digests, so it can be continued from any known start. The digest is keyed, so that no client can make two
starts of one digest.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, overload

import msgspec

from tokenizer_cache.conversations.keyed import KeyedHash

_MARKED_END = 160
"""A cache mark stands on the last part of a message, within this many bytes of its end."""
_MARK: Final = b'"cache_control"'
_LAST_MARK = re.compile(
    rb',\s*"cache_control"\s*:\s*\{\s*"type"\s*:\s*"ephemeral"\s*(?:,\s*"ttl"\s*:\s*"\w+"\s*)?\}'
    rb'(?=\s*\}\s*\]\s*(?:,\s*"role"\s*:\s*"\w+"\s*)?\}\Z)'
)
"""The last key of the last block of a message's last list. What follows it closes the block, the list and the message,
so it is no part of a tool's arguments or of a text; and a list in a message that is not its content is not read."""


class NotRead(Exception):
    """The caller asked for items that were recognised by their bytes, and reading them would take long: do it in a
    thread."""


class Start(msgspec.Struct, frozen=True):
    """The first `count` items of a conversation."""

    count: int = 0
    digest: bytes = b""


NOTHING: Final = Start()


class Items:
    """All items of one request. `unread` is the start that was recognised by its bytes; `read` are those after it."""

    __slots__ = ("_digests", "_hash", "_may_bear_marks", "_read_all", "_whole", "hasty", "read", "unread")

    def __init__(
        self,
        read: list[msgspec.Raw],
        keyed: KeyedHash,
        unread: Start = NOTHING,
        read_all: "Callable[[], Items] | None" = None,
        may_bear_marks: bool = False,
    ) -> None:
        self.read = read
        self._hash = keyed
        self._may_bear_marks = may_bear_marks
        """True for Anthropic's API: in the others, a key of that name may reach the prompt."""
        self.unread = unread
        self._read_all = read_all
        """Reads the unread items, when a caller asks for them."""
        self.hasty = False
        """Raise NotRead instead of reading the unread items."""
        self._whole: Items | None = None
        self._digests: list[bytes] | None = None

    def __len__(self) -> int:
        return self.unread.count + len(self.read)

    def since(self, place: int) -> list[msgspec.Raw]:
        """The items from `place` on."""
        first = self.unread.count
        return self.read[place - first :] if place >= first else self._all().read[place:]

    def bare(self, place: int) -> Sequence[msgspec.Raw]:
        """The items from `place` on, without cache marks, which no prompt shows."""
        items = self.since(place)
        return unmarked(items) if self._may_bear_marks else items

    def digest(self, place: int) -> bytes:
        """16 bytes that stand for the first `place` items (none for no items)."""
        first = self.unread.count
        if place < first:
            return self._all().digest(place)
        if self._digests is None:
            self._digests = digests(self.unread.digest, self.bare(first), self._hash)
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


class StartKeys(Sequence[bytes]):
    """Keys of a conversation's starts, made when asked for: number k stands for the context and the first k items.
    `context` is a digest, of one length in all keys of an encoder."""

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
        return self._context + self._items.digest(place if place >= 0 else place + len(self))


def digests(before: bytes, items: Sequence[msgspec.Raw], keyed: KeyedHash) -> list[bytes]:
    """Digests of the starts that `items` make after the start whose digest is `before`; `before` comes first."""
    found = [before]
    for item in items:
        before = keyed.of(item, before)
        found.append(before)
    return found


def first_marked(items: Sequence[msgspec.Raw]) -> int:
    """The number of the first item that carries a cache mark; the count of items where none does."""
    for number, item in enumerate(items):
        if is_marked(item):
            return number
    return len(items)


def is_marked(item: msgspec.Raw) -> bool:
    """Does the item carry one of Anthropic's cache marks? Clients move them from turn to turn."""
    raw = bytes(item)
    return raw.find(_MARK, max(0, len(raw) - _MARKED_END)) >= 0


def unmarked(items: Sequence[msgspec.Raw]) -> Sequence[msgspec.Raw]:
    """Anthropic messages as they count for recognition: without a cache mark of their last block."""
    found = list(items)
    for number, item in enumerate(items):
        if is_marked(item):
            raw = bytes(item)
            if (mark := _LAST_MARK.search(raw, max(0, len(raw) - _MARKED_END))) is not None:
                found[number] = msgspec.Raw(raw[: mark.start()] + raw[mark.end() :])
    return found
