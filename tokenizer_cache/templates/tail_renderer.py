"""Tails: the text that new messages add to a known conversation, rendered without the known messages.

A tail is rendered after a stand-in: first a short one; if that disagrees with the full rendering, one of the known
conversation's whole shape. Every kind of tail is compared with the full rendering on its first uses and then by sample.
Where both stand-ins fail, conversations of that kind are rendered in full from then on. Callers must compare where
`due` says so: nothing else guards exactness here.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.conversation import Boundary
from tokenizer_cache.counters import Counters
from tokenizer_cache.rules import NotExact, TemplateCall
from tokenizer_cache.templates.render import Renderer, arguments_key, condensed, kinds_of, prototype

_TRUSTED_AFTER = 3
_CHECK_EVERY = 128
_MAX_KINDS = 4096
_MAX_CONTEXTS = 1024
_MAX_ARGUMENTS_BYTES = 4096
"""A template might print its arguments (documents) with every stand-in. Where they are larger than this, prompts are
rendered in full, off the event loop."""


@dataclass(slots=True)
class Trust:
    """How often one kind of tail was used, and which stand-in still agrees with the full rendering."""

    level: int = 0
    """0: the short stand-in; 1: the whole shape; 2: neither agreed."""
    uses: int = 0
    """Uses at this level."""

    @property
    def due(self) -> bool:
        """The next tail of this kind must be compared."""
        return self.uses < _TRUSTED_AFTER or self.uses % _CHECK_EVERY == 0


class Tail(NamedTuple):
    """The text from the known boundary's cut to the prompt's end."""

    text: str
    cut: int
    """Where in `text` the next boundary is cut."""
    closed: int
    """Where in `text` the messages end and the generation prompt begins."""
    shape: str
    """Shape of the whole conversation, with this tail."""
    trust: Trust


class _Context(NamedTuple):
    like: TemplateCall
    key: bytes


class TailRenderer:
    """Renders tails, and remembers which kinds agreed with full renderings. Safe in several threads at once."""

    def __init__(self, renderer: Renderer, counters: Counters) -> None:
        self._renderer = renderer
        self._counters = counters
        self._contexts: dict[bytes, _Context] = {}
        self._trust: dict[tuple[bytes, str, str], Trust] = {}

    def remember(self, context: bytes, call: TemplateCall) -> None:
        """Keep how a context's prompts are rendered: tails of its conversations need not read its fields again."""
        if len(self._contexts) >= _MAX_CONTEXTS:
            self._contexts.clear()
        key = arguments_key(call, self._renderer.day())
        if len(key) <= _MAX_ARGUMENTS_BYTES:
            self._contexts[context] = _Context(prototype(call), key)

    def due(self, context: bytes, known: Boundary) -> bool:
        """True when a tail after `known` may have to be compared, or cannot be rendered. A guess: no item is read for
        it."""
        if known.shape is None or context not in self._contexts:
            return True
        trust = self._trust.get((self._contexts[context].key, known.shape, "ct"))
        return trust is not None and (trust.level > 1 or trust.due)

    def render(self, request: Request, context: bytes, place: int, known: Boundary) -> Tail | None:
        """The tail of a conversation that is known up to item `place`; None where only a full rendering is safe."""
        new, found = request.conversation.since(place), self._contexts.get(context)
        if known.shape is None or not new or found is None:
            return None
        try:
            messages = self._renderer.messages(request.api, [msgspec.json.decode(item) for item in new])
        except NotExact:
            return None
        kinds = kinds_of(messages)
        if not kinds or "s" in kinds or kinds[-1] not in "ut" or not _answers_itself(messages):
            return None
        added, shape = condensed(kinds), condensed(kinds, known.shape)
        if added is None or shape is None:
            return None
        trust = self._trust_in((found.key, known.shape, added))
        while trust.level < 2:
            tail = self._after(found, _stand_in_shape(known.shape, trust.level), messages)
            ended = self._renderer.stand_in(_stand_in_shape(shape, trust.level), *found)
            if tail is not None and ended is not None and tail.endswith(ended.generation):
                text = known.overhang + tail
                closed = len(text) - len(ended.generation)
                cut = max(0, text.rfind(ended.cut_token, 0, closed))
                return Tail(text, cut, closed, shape, trust)
            self.give_up(trust)
        return None

    def give_up(self, trust: Trust) -> None:
        """This kind of tail failed: try a longer stand-in from now on, or none."""
        trust.level, trust.uses = trust.level + 1, 0
        self._counters.failed += 1

    def _after(self, context: _Context, shape: str, messages: list[dict[str, Any]]) -> str | None:
        stand_in = self._renderer.stand_in(shape, *context)
        return self._renderer.after(stand_in, messages, context.like) if stand_in is not None else None

    def _trust_in(self, kind: tuple[bytes, str, str]) -> Trust:
        if len(self._trust) >= _MAX_KINDS:
            self._trust.clear()
        return self._trust.setdefault(kind, Trust())


def _stand_in_shape(shape: str, level: int) -> str:
    """The short stand-in has the leading system message, the last user message and the last exchange with tools."""
    if level:
        return shape
    user = shape.rfind("u")
    return ("s" if shape.startswith("s") else "") + shape[user : user + 1] + shape[user + 1 :][-2:]


def _answers_itself(messages: list[dict[str, Any]]) -> bool:
    """True when every tool result belongs to a call in these messages: a template may look for a result's call, which a
    stand-in does not have."""
    called: set[str] = set()
    for message in messages:
        if message["role"] == "tool" and str(message.get("tool_call_id")) not in called:
            return False
        called.update(str(call.get("id")) for call in message.get("tool_calls") or ())
    return True
