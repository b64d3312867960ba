"""Chat templates, rendered exactly as transformers' `apply_chat_template(tokenize=False)` does in the engines.

A full render grows with the conversation. A *tail render* does not: it renders a short stand-in for the known messages
with and without the new ones, and takes the difference. That is right only where a template writes each message without
looking at the rest, so its results are checked by sample against full renders, and no caller may skip that.
"""

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jinja2
import jinja2.nodes
import msgspec

from tokenizer_cache.jinja import compiled
from tokenizer_cache.rules import NotExact, Rules, TemplateCall
from tokenizer_cache.sglang.inputs import SglangRules
from tokenizer_cache.templates.skeletons import Skeletons
from tokenizer_cache.tokenizers.tokenizer import Tokenizer
from tokenizer_cache.vllm.inputs import VllmRules

RENDER_ERRORS: Final = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that a template may raise for input that it refuses."""
_REASONING_WORDS: Final = ("think", "reason", "thought", "channel")
_REASONING = re.compile(rf"[</|\[_:](?:{'|'.join(_REASONING_WORDS)})", re.IGNORECASE)
_CLOCK = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_DIRECTIVE = re.compile(r"%[-_0^#]?(.)")
_DAILY: Final = frozenset("aAwdbBmyYjUWuGVx%")
_MAX_SHAPE = 24
_MAX_STAND_INS = 2048
_CALL = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
_STAND_INS: Final[dict[str, dict[str, Any]]] = {
    "s": {"role": "system", "content": "s"},
    "u": {"role": "user", "content": "u"},
    "a": {"role": "assistant", "content": "a"},
    "c": {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    "t": {"role": "tool", "content": "t", "tool_call_id": "call00001"},
}
_KINDS: Final = {"system": "s", "user": "u", "assistant": "a", "tool": "t"}
_TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}},
}


class StandIn(NamedTuple):
    """A short conversation that stands for a known one, rendered."""

    place: tuple[str, bytes]
    """Its shape, and the arguments that it is rendered with."""

    messages: list[dict[str, Any]]
    closed: str
    """Rendering of these messages alone."""
    generation: str
    """The generation prompt: what the template appends so that the assistant answers."""
    cut_token: str
    """The last cut token in `closed`."""


class Renderer:
    """One tokenizer's chat template. Safe in several threads at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.chat_template is None:
            raise ValueError("the tokenizer has no chat template")
        self._source = tokenizer.chat_template
        self._template = compiled(self._source)
        self._tokenizer = tokenizer
        self._skeletons = Skeletons(self._source, self._template.environment)
        self._variables: dict[str, Any] = {"documents": None, **tokenizer.special_tokens}
        self._stand_ins: dict[tuple[str, bytes], StandIn | None] = {}
        rules = SglangRules if tokenizer.served.engine == "sglang" else VllmRules
        self.rules: Rules = rules(self._source, tokenizer.special_tokens, tokenizer.served)
        self._reads_thinking = reads_thinking(self._template.environment.parse(self._source))
        self._reads_clock = "strftime_now" in self._source
        self.changes_by_the_minute = self._reads_clock and not _is_daily(self._source)
        """True when the prompt prints the time of day: then no known part may be reused without rendering it."""

    def day(self) -> bytes:
        """Stands for this machine's date where the template prints the date: prompts of another day are other
        prompts."""
        return datetime.datetime.now().date().isoformat().encode() if self._reads_clock else b""

    def call(self, api: str, body: dict[str, Any]) -> TemplateCall:
        """The template's arguments for a decoded body. Raises NotExact."""
        call = self.rules.call(api, body)
        if call.tools and self._tokenizer.has_tool_template:
            raise NotExact("tool_template")
        if self._reads_thinking and any(message.get("reasoning_content") is not None for message in call.messages):
            raise NotExact("reasoning")
        return call

    def full(self, call: TemplateCall) -> str:
        """The whole prompt's text. Raises one of RENDER_ERRORS where the template refuses."""
        if call.continue_final_message:
            return self._continued(call)
        try:
            return self._render(call.messages, call)
        except RENDER_ERRORS:
            if not (call.bare_tools and call.tools):
                raise
            bare = [tool.get("function", tool) for tool in call.tools]
            return self._render(call.messages, msgspec.structs.replace(call, tools=bare))

    def messages(self, api: str, items: Sequence[Any]) -> list[dict[str, Any]]:
        """The template's messages for some raw messages of a conversation. Raises NotExact."""
        return self.rules.messages(api, items)

    def stand_in(self, shape: str, like: TemplateCall, key: bytes) -> StandIn | None:
        """A stand-in for conversations of `shape` that are rendered with the arguments of `like`, which `key` stands
        for; None where the template refuses it or does not end with a plain generation prompt."""
        try:
            return self._stand_ins[shape, key]
        except KeyError:
            pass
        if len(self._stand_ins) >= _MAX_STAND_INS:
            self._stand_ins.clear()
        stand_in = self._stand_ins[shape, key] = self._build((shape, key), like)
        return stand_in

    def after(self, stand_in: StandIn, messages: list[dict[str, Any]], like: TemplateCall) -> str | None:
        """The text that `messages` add after a stand-in, generation prompt included; None where it cannot be known."""
        if _only_switches(like.kwargs):
            filled = self._skeletons.fill(stand_in.place, messages, lambda marked: self._added(stand_in, marked, like))
            if filled is not None:
                return filled
        return self._added(stand_in, messages, like)

    def _added(self, stand_in: StandIn, messages: list[dict[str, Any]], like: TemplateCall) -> str | None:
        try:
            both = self._render(stand_in.messages + messages, like)
        except RENDER_ERRORS:
            return None
        return both[len(stand_in.closed) :] if both.startswith(stand_in.closed) else None

    def _build(self, place: tuple[str, bytes], like: TemplateCall) -> StandIn | None:
        messages = self.rules.messages("chat", [_STAND_INS[kind] for kind in place[0]])
        try:
            closed = self._render(messages, msgspec.structs.replace(like, add_generation_prompt=False))
            opened = self._render(messages, like)
        except RENDER_ERRORS:
            return None
        at = self._tokenizer.last_cut(closed)
        token = next((token for token in self._tokenizer.cut_tokens if closed.startswith(token, at)), None)
        if not opened.startswith(closed) or token is None or at < 0:
            return None
        return StandIn(place, messages, closed, opened[len(closed) :], token)

    def _render(self, messages: list[dict[str, Any]], call: TemplateCall) -> str:
        return str(
            self._template.render(
                self._variables,
                messages=messages,
                tools=call.tools,
                add_generation_prompt=call.add_generation_prompt,
                **call.kwargs,
            )
        )

    def _continued(self, call: TemplateCall) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415  (seconds)

        tools: Any = call.tools
        rendered: Any = render_jinja_template(
            conversations=[call.messages],
            tools=tools,
            chat_template=self._source,
            continue_final_message=True,
            **{**self._variables, **call.kwargs},
        )
        return str(rendered[0][0])


def _only_switches(kwargs: dict[str, Any]) -> bool:
    """True when the template arguments are only switches: a template cannot compare them with what messages say."""
    return all(value is None or isinstance(value, bool) for value in kwargs.values())


def prototype(call: TemplateCall) -> TemplateCall:
    """The arguments of a rendering without its messages, and with a stand-in for its tools."""
    return msgspec.structs.replace(call, messages=[], tools=[_TOOL] if call.tools else call.tools)


def arguments_key(call: TemplateCall, day: bytes) -> bytes:
    """Stands for all the arguments of a rendering except its messages and the content of its tools."""
    return msgspec.json.encode((bool(call.tools), call.add_generation_prompt, call.kwargs)) + day


def reads_thinking(tree: jinja2.nodes.Template) -> bool:
    """True where the template reads a message's `thinking`, a name that only some versions of transformers fill."""
    attributes = {node.attr for node in tree.find_all(jinja2.nodes.Getattr)}
    keys = {node.arg.value for node in tree.find_all(jinja2.nodes.Getitem) if isinstance(node.arg, jinja2.nodes.Const)}
    return "thinking" in attributes | keys


def _is_daily(source: str) -> bool:
    """True when the template reads nothing finer than the day from the clock."""
    formats = [found[1] for found in _CLOCK.findall(source)]
    letters = [letter for form in formats for letter in _DIRECTIVE.findall(form)]
    return len(formats) == source.count("strftime_now(") and _DAILY.issuperset(letters)


def kinds_of(messages: Sequence[dict[str, Any]]) -> str | None:
    """One letter per message. None where templates may render a message differently because of later ones (reasoning),
    and for messages of an unknown kind: such tails are not rendered alone."""
    kinds = []
    for message in messages:
        kind = _KINDS.get(message["role"])
        if kind is None or _looks_around(message, kind):
            return None
        kinds.append("c" if message.get("tool_calls") else kind)
    return "".join(kinds)


def condensed(kinds: str, before: str = "") -> str | None:
    """The shape of a conversation: kinds after those of `before`, without immediate repetitions ("ctct" is "ct"); None
    where it stays too long for a stand-in."""
    shape = before
    for kind in kinds:
        shape += kind
        for period in range(1, min(6, len(shape) // 2) + 1):
            if shape[-period:] == shape[-2 * period : -period]:
                shape = shape[:-period]
                break
    return shape if len(shape) <= _MAX_SHAPE else None


def _looks_around(message: dict[str, Any], kind: str) -> bool:
    """True for a message whose rendering may depend on others: reasoning is kept or dropped depending on what comes
    later, and a user's text that looks like a tool's result does not count as a query."""
    if kind in "st":
        return False
    if message.get("reasoning") is not None:
        return True
    content = message.get("content")
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content or ()]
    if kind == "u":
        return any("tool_response>" in part for part in parts)
    return any(_speaks_of_reasoning(part) for part in parts)


def _speaks_of_reasoning(text: str) -> bool:
    """Searches for plain words first: the pattern reads a text letter by letter."""
    lower = text.lower()
    return any(word in lower for word in _REASONING_WORDS) and _REASONING.search(text) is not None


def renderer_of(tokenizer: Tokenizer) -> Renderer:
    """The tokenizer's renderer. To make it takes 50 to 150 ms, the first time; raises what jinja2 and RENDER_ERRORS
    name where its template cannot be used."""
    if tokenizer.renderer is None:
        tokenizer.renderer = Renderer(tokenizer)
    renderer: Renderer = tokenizer.renderer
    return renderer
