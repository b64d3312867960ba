"""The rendered text of messages of one form, learned once: literal text with holes for what the messages say.

A template writes nearly every message as fixed text around its content, and rendering it in Jinja is the largest cost
of an agent's next turn. A skeleton is the rendering of the same messages with marks for their texts, cut at the marks.
It is used only for texts that the template would copy as they are: no outer whitespace to strip, no markup that it
looks for. Its text must equal the rendering; `TailRenderer` compares by sample, and nothing here weakens that.
"""

import json
import re
from collections.abc import Callable, Hashable, Sequence, Set
from typing import Any, Final, NamedTuple

import jinja2
import jinja2.nodes

Message = dict[str, Any]
Render = Callable[[list[Message]], str | None]

_MARK: Final = "\u2042"
_TEXT_MARK: Final = re.compile(f"{_MARK}(t[0-9]+){_MARK}")
_PROBES: Final = (f"k{_MARK}", "Aa \"q\" 's' \\ \n\n\t & é中🙂 {x} 1.0, " + "wide " * 2000 + f"\n{_MARK}")
"""Texts that show whether a template does more with a text than copy it. The mark stands for a text's number."""
_SPACED: Final = f" \n\t{_MARK}\n \t\n"
_MAX_SKELETONS = 2048
_MAX_LITERAL = 64
_TEXTS: Final = frozenset({"content", "text"})
_NAMES: Final = frozenset({"id", "tool_call_id", "name"})
_MARKUP: Final = frozenset("<>[]{}|")
_SHORTEST_MARKUP = 3


class _Form:
    """One pass over messages, which gives their form (hashable) and the values that the marks stand for."""

    __slots__ = ("names", "texts", "values")

    def __init__(self) -> None:
        self.texts: list[str] = []
        """Contents: the skeleton holds only if the template copies them as they are."""
        self.values: list[str] = []
        """Arguments as JSON text."""
        self.names: dict[str, int] = {}
        """Ids and names in order of their first appearance: templates may look for equal ones."""

    def of(self, value: Any, key: str = "") -> Hashable:
        """The form of a value. Raises ValueError for what is not of a known kind."""
        kind = type(value)
        if kind is str:
            return self._text(value, key)
        if kind is list:
            return ("[", *[self.of(item) for item in value])
        if kind is dict:
            if key == "arguments":
                self.values.append(json.dumps(value, ensure_ascii=False))
                return ("{}", not value)
            return tuple([(name, self.of(item, name)) for name, item in value.items()])
        if value is None or kind is bool:
            return (value,)
        raise ValueError(kind)

    def _text(self, value: str, key: str) -> Hashable:
        if key in _TEXTS:
            self.texts.append(value)
            return ("t", not value)
        if key in _NAMES and value:
            return ("n", self.names.setdefault(value, len(self.names)))
        if len(value) > _MAX_LITERAL:
            raise ValueError(key)
        return value


class _Marker:
    """The same pass; it writes marks instead of reading values."""

    def __init__(self) -> None:
        self._texts = self._values = 0
        self._names: dict[str, int] = {}

    def of(self, value: Any, key: str = "") -> Any:
        """The value with marks for its texts."""
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if isinstance(value, dict):
            if key == "arguments":
                self._values += 1
                return _marked_arguments(self._values - 1) if value else value
            return {name: self.of(item, name) for name, item in value.items()}
        return value

    def _text(self, value: str, key: str) -> str:
        if key in _TEXTS:
            self._texts += 1
            return _mark("t", self._texts - 1) if value else value
        if key in _NAMES and value:
            return _mark("n", self._names.setdefault(value, len(self._names)))
        return value


class Skeleton(NamedTuple):
    """Text with holes: a piece is literal, or the kind and number of what goes there."""

    pieces: tuple[str | tuple[str, int], ...]
    keeps_space: bool
    """True when the template writes texts with their outer whitespace."""


class Skeletons:
    """One template's skeletons, by the place that they follow and by form. Safe in several threads: at worst one is
    learned twice."""

    def __init__(self, template_source: str, environment: jinja2.Environment) -> None:
        tree = environment.parse(template_source)
        constants = {node.value for node in tree.find_all(jinja2.nodes.Const) if isinstance(node.value, str)}
        self._markup = _shortest({c for c in constants if len(c) >= _SHORTEST_MARKUP and not _MARKUP.isdisjoint(c)})
        self._skeletons: dict[Hashable, Skeleton | None] = {}

    def fill(self, place: Hashable, messages: Sequence[Message], render: Render) -> str | None:
        """The text of `messages` after `place`; None where no skeleton fits. `render` renders messages at that
        place."""
        form = _Form()
        try:
            key = (place, tuple([form.of(message) for message in messages]))
        except ValueError:
            return None
        try:
            skeleton = self._skeletons[key]
        except KeyError:
            skeleton = self._learn(key, messages, render)
        if skeleton is None or not all(self._is_opaque(text, skeleton.keeps_space) for text in form.texts):
            return None
        holes = {"t": form.texts, "v": form.values, "n": list(form.names)}
        return "".join([piece if isinstance(piece, str) else holes[piece[0]][piece[1]] for piece in skeleton.pieces])

    def _is_opaque(self, text: str, keeps_space: bool) -> bool:
        """Will the template copy this text as it is?"""
        if _MARK in text or not (keeps_space or text == text.strip()):
            return False
        for markup in self._markup:  # noqa: SIM110 - a generator takes longer than all that it looks for
            if markup in text:
                return False
        return True

    def _learn(self, key: Hashable, messages: Sequence[Message], render: Render) -> Skeleton | None:
        """Learn a skeleton. A template that escapes, cuts or measures texts has none, as its rendering of the probes
        shows."""
        if len(self._skeletons) >= _MAX_SKELETONS:
            self._skeletons.clear()
        marker = _Marker()
        marked = [marker.of(message) for message in messages]
        text = render(marked)
        fits = text is not None and all(render(_with(marked, probe)) == _with(text, probe) for probe in _PROBES)
        pieces = _cut(text) if text is not None and fits else None
        if pieces is None:
            self._skeletons[key] = None
            return None
        keeps_space = render(_with(marked, _SPACED)) == _with(text, _SPACED)
        skeleton = self._skeletons[key] = Skeleton(pieces, keeps_space)
        return skeleton


def _with(value: Any, probe: str) -> Any:
    """The value with a probe around each mark for a text."""
    if isinstance(value, str):
        return _TEXT_MARK.sub(lambda mark: probe.replace(_MARK, mark[1]), value)
    if isinstance(value, list):
        return [_with(item, probe) for item in value]
    if isinstance(value, dict):
        return {key: _with(item, probe) for key, item in value.items()}
    return value


def _mark(kind: str, number: int) -> str:
    return f"{_MARK}{kind}{number}{_MARK}"


def _marked_arguments(number: int) -> dict[str, str]:
    return {_mark("k", number): _mark("l", number)}


def _cut(text: str) -> tuple[str | tuple[str, int], ...] | None:
    """The text cut at its marks; None where the template wrote arguments in another form."""
    for number in range(text.count(_MARK + "k")):
        text = text.replace(json.dumps(_marked_arguments(number), ensure_ascii=False), _mark("v", number))
    pieces: list[str | tuple[str, int]] = []
    for number, part in enumerate(text.split(_MARK)):
        if number % 2 == 0:
            pieces.append(part)
        elif part[:1] in "tvn" and part[1:].isdigit():
            pieces.append((part[0], int(part[1:])))
        else:
            return None
    return tuple(pieces)


def _shortest(markups: Set[str]) -> tuple[str, ...]:
    """Those of which none is a part of another: a text that holds a longer one holds these."""
    return tuple(sorted(one for one in markups if not any(other in one for other in markups - {one})))
