"""Reads replies off the wire with bounds: no length that a server gives is used before it is compared with them.

It reads RESP2 only, which a server speaks unless it is asked for more. What must not be broken: no memory is allocated
for bytes that have not come, and the memory held is bounded whatever comes; after an `UnreadableError` nothing more is
read.
"""

from typing import Any, Final, NamedTuple

MAX_LINE_BYTES: Final = 1024
"""Longest line of a status, error, number or length."""
MAX_REPLY_BYTES: Final = 8 << 20
MAX_ITEMS: Final = 20_480
"""Items of one reply, including those of lists in lists."""
MAX_DEPTH: Final = 4
MAX_DIGITS: Final = 20
PLUS, MINUS, COLON, DOLLAR, STAR = b"+-:$*"
BEGUN: Final = object()


class ErrorReply(NamedTuple):
    """The server refused a command."""

    message: str


class UnreadableError(ValueError):
    """The bytes are no reply, or a reply beyond the bounds."""


class ReplyReader:
    """Bytes in, replies out."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        """Bytes that have come and were not read yet."""
        self._held = 0
        self._wanted = 0
        """Reading needs at least this many bytes to continue."""
        self._lists: list[tuple[list[Any], int]] = []
        """The lists that are being read, with their lengths; the outermost first."""
        self._read = 0
        """Bytes of the reply that is being read."""
        self._items = 0
        """Items that its lists have announced."""

    def feed(self, data: bytes, replies: list[Any]) -> None:
        """Append the replies that are complete now. Raises UnreadableError after the last sound one."""
        if self._chunks:
            self._chunks.append(data)
            self._held += len(data)
            if self._held < self._wanted:
                return
            data = b"".join(self._chunks)
        at = self._replies(data, replies)
        self._chunks = [data[at:]] if at < len(data) else []
        self._held = len(data) - at

    def _replies(self, data: bytes, replies: list[Any]) -> int:
        """Read the complete replies. Returns where the rest begins."""
        at, lists = 0, self._lists
        while True:
            end = data.find(b"\r\n", at, at + MAX_LINE_BYTES)
            if end < 0:
                self._incomplete(len(data) - at)
                return at
            kind, stop = data[at], end + 2
            value: Any = data[at + 1 : end]
            if kind == DOLLAR:
                size = _length(value)
                start, stop = stop, stop + size + 2 if size >= 0 else stop
                self._bound(stop - at)
                if len(data) < stop:
                    self._wanted = stop - at
                    return at
                value = _string(data, start, stop) if size >= 0 else None
            else:
                value = self._short(kind, value)
                self._bound(stop - at)
            self._read += stop - at
            at = stop
            if value is BEGUN:
                continue
            while lists:
                items, length = lists[-1]
                items.append(value)
                if len(items) < length:
                    break
                value = lists.pop()[0]
            else:
                replies.append(value)
                self._read = self._items = 0

    def _incomplete(self, length: int) -> None:
        if length >= MAX_LINE_BYTES:
            raise UnreadableError("an endless line")
        self._wanted = 0

    def _bound(self, more: int) -> None:
        if self._read + more > MAX_REPLY_BYTES:
            raise UnreadableError("a reply beyond the bounds")

    def _short(self, kind: int, text: bytes) -> Any:
        """A reply that is one line."""
        if kind == STAR:
            return self._begin(_length(text))
        if kind == COLON:
            return _number(text)
        if kind == MINUS:
            return ErrorReply(_plain(text))
        if kind != PLUS:
            raise UnreadableError("no reply of RESP2")
        return text

    def _begin(self, length: int) -> Any:
        """A list; None for a null list; `BEGUN` when its items have yet to come."""
        if length <= 0:
            return [] if length == 0 else None
        self._items += length
        if self._items > MAX_ITEMS or len(self._lists) >= MAX_DEPTH:
            raise UnreadableError("a reply beyond the bounds")
        self._lists.append(([], length))
        return BEGUN


def _string(data: bytes, start: int, stop: int) -> bytes:
    if data[stop - 2 : stop] != b"\r\n":
        raise UnreadableError("a string that goes on behind its end")
    return data[start : stop - 2]


def _number(text: bytes) -> int:
    if len(text) <= MAX_DIGITS and (text.isdigit() or text.removeprefix(b"-").isdigit()):
        return int(text)
    raise UnreadableError("no number")


def _length(text: bytes) -> int:
    """The length; -1 for null."""
    length = _number(text)
    if length < -1:
        raise UnreadableError("no length")
    return length


def _plain(text: bytes) -> str:
    """An error's text in a form that is safe to log."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.decode("ascii", "replace"))
