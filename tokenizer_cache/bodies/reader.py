"""Reads bodies; of a known conversation it reads only the new part.

A body whose first bytes were read before is not parsed again from its start. A token replaces the known items, and the
decoder gives the same result for that shorter body as for the whole one. This is proved for each body: JSON is read
from left to right, so if the token comes out as the first item, the bytes before it end where the list of items begins,
and only items are replaced. A body that does not fit is read in full, so that errors are those of a full reading. Safe
in several threads: long bodies are read outside the lock.
"""

import re
import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from tokenizer_cache.bodies.density import MAX_ITEMS, check_crowds
from tokenizer_cache.bodies.items import Items, first_marked
from tokenizer_cache.bodies.prefixes import FIRST_BYTES, Known, Prefixes, Scan
from tokenizer_cache.bodies.request import Frame, Request, bears_marks, decode, decode_list, parse, take_items
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.prompt import BadRequest

_LISTS: Final = {
    "chat": re.compile(rb'"messages"\s*:\s*\['),
    "messages": re.compile(rb'"messages"\s*:\s*\['),
    "responses": re.compile(rb'"input"\s*:\s*\['),
}
"""The bytes that begin the list of items; the same bytes may stand elsewhere in a body."""
_MAX_TRIED_LISTS = 4
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
_MAX_FRAMES = 256
LONG_BYTES: Final = 64 << 10
"""An event loop reads at most this much in one go: a hostile body that is longer could take more than 5 ms."""
_FRAME_SHARE = 8
"""One part in this many of the room is for frames, which hold tools and system prompts."""


class _Framed(msgspec.Struct, frozen=True):
    """A frame, and the bytes that follow the last item in its bodies."""

    frame: Frame
    trailer: bytes


class Reader:
    """Reads bodies of all APIs. `keyed` makes the digests of bodies and items."""

    def __init__(self, max_bytes: int, keyed: KeyedHash) -> None:
        self._hash = keyed
        self._prefixes = {api: Prefixes(max_bytes // 4, keyed) for api in ("chat", "messages", "responses")}
        self._max_frame_bytes = max_bytes // _FRAME_SHARE
        self._frames: OrderedDict[bytes, _Framed] = OrderedDict()
        self._frame_bytes = 0
        self._lock = threading.Lock()
        """Held for microseconds."""
        self._token = b'"%s"' % secrets.token_hex(16).encode()
        """No client can have written it."""
        self.read: Counter[str] = Counter()
        """Bodies by how much of them was parsed: `items` (only the new items), `rest` (the new items and all other
        fields), `whole`."""

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self._frame_bytes + sum(prefixes.size_bytes for prefixes in self._prefixes.values())

    def parse(self, api: str, body: bytes) -> Request:
        """As `request.parse`, which says what may be raised. Takes up to 0.3 s for a hostile body of 1 MB: a long one
        belongs in a thread."""
        if len(body) < FIRST_BYTES or api not in self._prefixes:
            self.read["whole"] += 1
            return parse(api, body, self._hash)
        request = self._known(api, body, LONG_BYTES)
        return request if request is not None else self._parse_unknown(api, body)

    def parse_short(self, api: str, body: bytes) -> Request | None:
        """As `parse`, for an event loop; None where more than `LONG_BYTES` must be read. The request's items are hasty:
        a caller that asks for the known ones gets NotRead."""
        if len(body) <= LONG_BYTES:
            return self.parse(api, body)
        request = self._known(api, body, LONG_BYTES)
        if request is not None:
            request.conversation.hasty = True
        return request

    def _parse_unknown(self, api: str, body: bytes) -> Request:
        """Read a body of which more must be read than an event loop may: all of it, or a long new part."""
        if len(body) > LONG_BYTES:
            check_crowds(body)
            if (request := self._known(api, body, len(body))) is not None:
                return request
        self.read["whole"] += 1
        request = parse(api, body, self._hash)
        if (place := self._first_place(request)) is not None:
            with self._lock:
                self._prefixes[api].add(Scan(body, self._hash), place)
        return request

    # What is known of the body ------------------------------------------------------------------------------------

    def _known(self, api: str, body: bytes, max_bytes: int) -> Request | None:
        """The request without its known items; None where it is not known, or more would have to be read."""
        prefixes = self._prefixes.get(api)
        if prefixes is None or len(body) < FIRST_BYTES:
            return None
        with self._lock:
            known, scan = prefixes.find(body)
        request = self._resume(api, body, known, max_bytes) if known is not None else None
        if known is None or request is None:
            return None
        place = self._next_place(request, known)
        if place is not None:
            with self._lock:
                prefixes.add(scan, place)
        return request

    def _resume(self, api: str, body: bytes, known: Known, max_bytes: int) -> Request | None:
        """The request without its known items; None where it does not fit after all."""
        try:
            framed = self._frames.get(known.frame)
            items = self._new_items(body, known, framed.trailer, max_bytes) if framed is not None else None
            if framed is not None and items is not None:
                frame, way = framed.frame, "items"
            elif known.head_bytes + len(body) - known.length > max_bytes:
                return None
            else:
                fields = decode(api, body[: known.head_bytes] + self._token + body[known.length :])
                items, frame, way = take_items(fields), Frame(fields), "rest"
        except BadRequest:
            return None
        if not frame.fields.model or not items or bytes(items[0]) != self._token:
            return None
        if known.start.count + len(items) - 1 > MAX_ITEMS:
            return None
        self.read[way] += 1
        whole = partial(parse, api, body, self._hash)
        read = Items(items[1:], self._hash, known.start, lambda: whole().conversation, bears_marks(api))
        return Request(api, body, frame, read)

    def _new_items(self, body: bytes, known: Known, trailer: bytes, max_bytes: int) -> list[msgspec.Raw] | None:
        """The token and the items between the known bytes and a known trailer, if that is what stands there."""
        new_bytes = len(body) - known.length - len(trailer)
        if not 0 <= new_bytes <= max_bytes or not body.endswith(trailer):
            return None
        try:
            return decode_list(b"[%b%b]" % (self._token, body[known.length : len(body) - len(trailer)]))
        except BadRequest:
            return None

    # What will be known of the next body --------------------------------------------------------------------------

    def _next_place(self, request: Request, known: Known) -> Known | None:
        """The known beginning and the new items, up to the last item or to the first one with a cache mark."""
        items = request.conversation
        kept = first_marked(items.read)
        ends = ends_of(request.body, known.length, items.read)
        if ends is None or not kept:
            return None
        frame = known.frame
        framed = self._frames.get(frame)
        if framed is None or framed.frame is not request.frame:
            trailer = _trailer(request.body, ends[-1])
            key = self._key(request.api, request.body[: known.head_bytes], trailer)
            frame = self._keep(key, request.frame, trailer)
        return Known(ends[kept], items.start(items.unread.count + kept), known.head_bytes, frame)

    def _first_place(self, request: Request) -> Known | None:
        """The same for a body that was read in full. None where its list of items is not found."""
        body, items = request.body, request.conversation
        for found in islice(_LISTS[request.api].finditer(body), _MAX_TRIED_LISTS):
            head_bytes = found.end()
            ends = ends_of(body, head_bytes, items.read)
            if ends is not None and (frame := self._prove(request.api, body[:head_bytes], _trailer(body, ends[-1]))):
                kept = first_marked(items.read)
                return Known(ends[kept], items.start(kept), head_bytes, frame)
        return None

    def _prove(self, api: str, head: bytes, trailer: bytes) -> bytes:
        """The key of the frame that stands around the items; empty where the list does not begin after `head`."""
        key = self._key(api, head, trailer)
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
                return key
        try:
            fields = decode(api, head + self._token + trailer)
            items = take_items(fields)
        except BadRequest:
            return b""
        return self._keep(key, Frame(fields), trailer) if list(map(bytes, items)) == [self._token] else b""

    def _keep(self, key: bytes, frame: Frame, trailer: bytes) -> bytes:
        with self._lock:
            if key not in self._frames:
                self._frames[key] = _Framed(frame, trailer)
                self._frame_bytes += _size(trailer)
                while len(self._frames) > _MAX_FRAMES or self._frame_bytes > self._max_frame_bytes:
                    self._frame_bytes -= _size(self._frames.popitem(last=False)[1].trailer)
        return key

    def _key(self, api: str, head: bytes, trailer: bytes) -> bytes:
        return self._hash.of(trailer, b"%b %b" % (api.encode(), self._hash.of(head)))


def ends_of(body: bytes, start: int, items: Sequence[msgspec.Raw]) -> list[int] | None:
    """Where in `body` the list is after each of `items`, `start` first; None where they do not stand there."""
    ends = [start]
    for item in items:
        raw = bytes(item)
        at = _after_separator(body, ends[-1])
        if not body.startswith(raw, at):
            return None
        ends.append(at + len(raw))
    return ends


def _trailer(body: bytes, end: int) -> bytes:
    """What follows the last item, from the end of the list on."""
    return body[_after_separator(body, end) :]


def _after_separator(body: bytes, at: int) -> int:
    found = _BETWEEN.match(body, at)
    return found.end() if found is not None else at


def _size(trailer: bytes) -> int:
    """Size of a frame: the trailer, and the fields' copy of it."""
    return 2 * len(trailer) + 2000
