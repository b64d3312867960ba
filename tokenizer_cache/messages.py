"""Exact ids of a list of messages, from the deepest boundary that is known.

There are two ways. The *full* way renders everything and proves by digest how much of the text is known; it is right
for every template. The *tail* way renders the new messages alone. Each kind of tail is compared with the full way on
its first uses and then by sample, and after one difference it is not used again. Boundaries are cut only before cut
tokens.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tokenizer_cache.bodies.density import MAX_VALUES, refuse_dense
from tokenizer_cache.bodies.fields import ABSENT, ASIDE, ResponseFields
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import ID_BYTES, Chain, pack
from tokenizer_cache.conversations.conversation import Boundary, Conversations, Spine
from tokenizer_cache.conversations.fingerprint import Fingerprints
from tokenizer_cache.counters import Counters
from tokenizer_cache.rules import TemplateCall
from tokenizer_cache.templates.render import arguments_key, condensed, kinds_of, prototype, renderer_of
from tokenizer_cache.templates.tail_renderer import Tail, TailRenderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

_MAX_OVERHANG = 256
_MAX_ENDINGS = 1024
_PIECE_CHARS = 1 << 16
_ANY: Final = msgspec.json.Decoder()
_STRAY = "\u2042"
"""Content of a stand-in; no real message begins with it."""


class Recognised(NamedTuple):
    """How much of a request was known when it came."""

    root: bytes
    context: bytes
    """Stands for everything that changes how messages become ids."""
    keys: Sequence[bytes]
    """Keys of its starts: one more than it has items."""
    place: int
    """How many of its items are known."""
    boundary: Boundary | None
    unseen_bytes: int
    """Length of the unknown items."""


class _Cut(NamedTuple):
    """Where a new boundary is cut, and the text that follows the cut."""

    chars: int
    text: bytes
    """Fingerprint of the text before it."""
    overhang: str = ""
    shape: str | None = None
    ending: bytes | None = None


class NotBrief(Exception):
    """Raised when the whole conversation would have to be rendered."""


class MessageEncoder:
    """Encodes chat, Anthropic and Responses requests. Safe in several threads at once."""

    def __init__(self, tokenizer: Tokenizer, chain: Chain, conversations: Conversations, counters: Counters) -> None:
        self._tokenizer = tokenizer
        self._chain = chain
        self._conversations = conversations
        self._counters = counters
        self._renderer = renderer_of(tokenizer)
        self._fingerprints = Fingerprints(chain.root(b"fingerprint") + chain.root(b"fingerprints"))
        self._endings: dict[str, bytes] = {}
        self.tails = TailRenderer(self._renderer, counters)

    def encode(self, request: Request, seen: Recognised, brief: bool = False) -> "Closed":
        """The prompt. Raises NotExact, or one of RENDER_ERRORS; with `brief` also NotBrief."""
        known, tail = seen.boundary, None
        if known is not None:
            tail = self.tails.render(request, seen.context, seen.place, known)
        if brief and (tail is None or tail.trust.due):
            raise NotBrief
        if known is None or tail is None:
            return self._encode_full(request, seen, self._whole_call(request))
        if tail.trust.due:
            call = self._whole_call(request)
            if not self._agrees(known, tail, self._renderer.full(call)):
                return self._encode_full(request, seen, call)
        tail.trust.uses += 1
        return self._encode_tail(seen, known, tail)

    def day(self) -> bytes:
        """Stands for the date in prompts that print it; it must be part of every key of a conversation."""
        return self._renderer.day()

    def _agrees(self, known: Boundary, tail: Tail, text: str) -> bool:
        if text[known.chars :] == tail.text and self._fingerprints.of(text[: known.chars]) == known.text:
            self._counters.verified += 1
            return True
        self.tails.give_up(tail.trust)
        return False

    def _encode_tail(self, seen: Recognised, known: Boundary, tail: Tail) -> "Closed":
        self._counters.hits["tail"] += 1
        head, overhang = tail.text[: tail.cut], tail.text[tail.cut : tail.closed]
        shape = tail.shape if len(overhang) <= _MAX_OVERHANG else None
        ending = self._ending(tail.text[tail.cut :])
        cut = _Cut(
            known.chars + tail.cut, self._fingerprints.then(known.text, head), overhang if shape else "", shape, ending
        )
        boundary = self._store(seen.root, seen.keys[-1], known, self._ids(head), cut)
        return self._close(boundary, seen, ending)

    def _close(self, boundary: Boundary, seen: Recognised, ending: bytes) -> "Closed":
        return close(self._chain, boundary, seen.root, ending, self._conversations.keep_ids)

    def _whole_call(self, request: Request) -> TemplateCall:
        return self._renderer.call(request.api, _decoded(request))

    def _encode_full(self, request: Request, seen: Recognised, call: TemplateCall) -> "Closed":
        text = self._renderer.full(call)
        if call.add_special_tokens:
            return self._close(_nothing(), seen, self._ids(text, add_special_tokens=True))
        known = self._proven(seen, text)
        self._counters.hits["full_prefix" if known else "cold"] += 1
        if known is None and (lead := self._lead(request, call, text)) is not None:
            place, end = lead
            cut = _Cut(end, self._fingerprints.of(text[:end]))
            known = self._store(seen.root, seen.keys[place], None, self._ids(text[:end]), cut)
        closing = self._closing(request, seen.context, call, text)
        start = known.chars if known else 0
        if closing is not None and closing.chars >= start:
            known = self._store(seen.root, seen.keys[-1], known, self._ids(text[start : closing.chars]), closing)
            start = closing.chars
        ending = self._ending(text[start:]) + self._suffix(call)
        return self._close(known or _nothing(), seen, ending)

    def _suffix(self, call: TemplateCall) -> bytes:
        if not call.suffix:
            return b""
        ids = self._ids(call.suffix, add_special_tokens=True)
        return ids[ID_BYTES:] if ids.startswith(self._tokenizer.bos) else ids

    def _proven(self, seen: Recognised, text: str) -> Boundary | None:
        """The deepest boundary whose text is the beginning of this text."""
        place, known = seen.place, seen.boundary
        while known is not None:
            at_token = text.startswith(self._tokenizer.cut_tokens, known.chars)
            if at_token and self._fingerprints.of(text[: known.chars]) == known.text:
                return known
            if known is seen.boundary:
                self._counters.retracted += 1
            place, known = self._conversations.find(seen.keys, place)
        return None

    def _lead(self, request: Request, call: TemplateCall, text: str) -> tuple[int, int] | None:
        """The key and the length of the part that other conversations share: tools and system messages."""
        systems = [message for message in call.messages if message["role"] == "system"]
        count = len(systems)
        if call.messages[:count] != systems or not (systems or call.tools) or count == len(call.messages):
            return None
        stray = self._renderer.messages("chat", [{"role": "user", "content": _STRAY}])
        other = msgspec.structs.replace(call, messages=systems + stray)
        end = self._tokenizer.last_cut(text, _common(text, self._renderer.full(other)))
        return (count if request.api == "chat" else 0, end) if end > 0 else None

    def _closing(self, request: Request, context: bytes, call: TemplateCall, text: str) -> _Cut | None:
        """Where the next boundary is cut: before the last cut token of the messages."""
        if not call.settled or call.continue_final_message or not call.add_generation_prompt:
            return None
        if call.messages[-1]["role"] == "assistant":
            return None
        kinds, closed = kinds_of(call.messages), len(text)
        shape = condensed(kinds) if kinds else None
        ended = self._renderer.stand_in(shape or "u", prototype(call), arguments_key(call, self._renderer.day()))
        if ended is not None and text.endswith(ended.generation):
            closed -= len(ended.generation)
        else:
            shape = None
        at = self._tokenizer.last_cut(text, closed)
        if at <= 0:
            return None
        ending = None if self._renderer.changes_by_the_minute else self._ending(text[at:])
        if ending is None or shape is None or closed - at > _MAX_OVERHANG or request.api == "responses":
            return _Cut(at, self._fingerprints.of(text[:at]), ending=ending)
        self.tails.remember(context, call)
        return _Cut(at, self._fingerprints.of(text[:at]), text[at:closed], shape, ending)

    def _store(self, root: bytes, key: bytes, known: Boundary | None, ids: bytes, cut: _Cut) -> Boundary:
        parent, remainder = (known.parent(root), known.remainder) if known else (root, b"")
        chain, remainder = self._chain.extend(parent, remainder, ids)
        spine, blocks = self._conversations.grow(known, chain, ids)
        boundary = Boundary(
            spine,
            blocks,
            remainder,
            tokens=(known.tokens if known else 0) + len(ids) // 4,
            chars=cut.chars,
            text=cut.text,
            overhang=cut.overhang,
            shape=cut.shape,
            ending=cut.ending,
        )
        self._conversations.add(key, boundary, known)
        return boundary

    def _ending(self, text: str) -> bytes:
        """Ids of a prompt's last few characters, nearly always the same ones."""
        ids = self._endings.get(text)
        if ids is None:
            ids = self._ids(text)
            if len(text) <= _MAX_OVERHANG:
                if len(self._endings) >= _MAX_ENDINGS:
                    self._endings.clear()
                self._endings[text] = ids
        return ids

    def _ids(self, text: str, add_special_tokens: bool = False) -> bytes:
        """The text's ids, encoded in pieces where cut tokens allow it: ids become a list under the interpreter's lock,
        and the event loop waits for it."""
        pieces = [text] if add_special_tokens else self._tokenizer.pieces(text, _PIECE_CHARS)
        return b"".join([pack(self._counters.timed(self._tokenizer, piece, add_special_tokens)) for piece in pieces])


def _decoded(request: Request) -> dict[str, Any]:
    """The body's fields, each decoded alone, and the items one by one. Raises NotExact for a text with too many
    values."""
    fields = request.fields
    body: dict[str, Any] = {}
    for name in fields.__struct_fields__:
        raw = getattr(fields, name)
        if raw is not ABSENT and isinstance(raw, msgspec.Raw) and name not in ASIDE:
            body[name] = _value(raw)
    if isinstance(fields, ResponseFields):
        body["previous_response_id"] = fields.previous_response_id
    items, place = request.items, "input" if request.api == "responses" else "messages"
    alone = request.api == "responses" and len(items) == 1 and bytes(items[0]).startswith(b'"')
    body[place] = _value(items[0]) if alone else [_value(item) for item in items]
    return body


def _value(raw: msgspec.Raw) -> Any:
    if len(raw) > MAX_VALUES:
        refuse_dense(bytes(raw))
    return _ANY.decode(raw)


class Closed(NamedTuple):
    """A whole prompt."""

    chain: bytes
    tokens: int
    ids: bytes
    """Packed ids; empty where they are not kept."""


def close(chain: Chain, boundary: Boundary, root: bytes, ending: bytes, keep_ids: bool) -> Closed:
    """The prompt whose ids after the boundary's cut are `ending`."""
    last, _ = chain.extend(boundary.parent(root), boundary.remainder, ending)
    ids = boundary.ids() + ending if keep_ids else b""
    return Closed(boundary.chain() + last, boundary.tokens + len(ending) // ID_BYTES, ids)


def _nothing() -> Boundary:
    return Boundary(Spine(), blocks=0, remainder=b"", tokens=0)


def _common(one: str, other: str) -> int:
    """Length of the common start, by bisection: slices are compared at memory speed."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
