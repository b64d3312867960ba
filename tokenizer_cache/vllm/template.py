"""What a chat template's source tells vLLM about the input that it wants.

vLLM has no options for this: it reads from the template whether content stays a list of parts, which keyword arguments
reach it and whether it knows the developer role. This module must read the same, or the prompt that is counted is not
the prompt that the engine sees. It does so once, when a tokenizer is loaded.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.sandbox
import msgspec
from jinja2 import nodes
from jinja2.parser import Parser

ContentFormat = Literal["string", "openai"]
DisabledEffort = Literal["none", "low"]

_THINKING_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_RENDER_ERRORS = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class TemplateFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One chat template as vLLM sees it. Build with `template_format`."""

    content: ContentFormat
    """`string`: text parts are joined to one string. `openai`: the template loops over content, so it gets a list."""
    variables: frozenset[str]
    """Names that the template reads and does not set: all other keyword arguments are dropped before rendering."""
    knows_developer: bool
    """False: developer messages become system messages, which are then merged to the front."""
    system_first: bool
    """True when the template rejects a later system message; /v1/messages then merges them into the first one."""
    disabled_effort: DisabledEffort
    """The reasoning effort that /v1/messages sets for `thinking: disabled`."""
    default_kwargs: dict[str, Any]
    """The server's --default-chat-template-kwargs, which every other argument overrides."""


class _GenerationTag(jinja2.ext.Extension):
    """Reads the `{% generation %}` block of transformers as its plain body."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _NotUnderstood(Exception):
    """The template assigns in a way that vLLM's detection does not follow; vLLM then takes `string`."""


def template_format(
    source: str,
    special_tokens: Mapping[str, Any] | None = None,
    default_kwargs: Mapping[str, Any] | None = None,
) -> TemplateFormat:
    """Everything that vLLM 0.32 derives from a template's source.

    `special_tokens` is the tokenizer's special_tokens_map, `default_kwargs` the server's default template arguments.
    Takes tens of milliseconds. A source that is no valid Jinja gives the answers that vLLM falls back to.
    """
    content = content_format(source)
    defaults = dict(default_kwargs or {})
    try:
        variables = frozenset(jinja2.meta.find_undeclared_variables(_parse(source)))
    except jinja2.TemplateError:
        variables = frozenset()

    from transformers.utils.chat_template_utils import render_jinja_template  # noqa: PLC0415  (seconds)

    def render(effort: str) -> str | None:
        asked = {**defaults, "reasoning_effort": effort, "enable_thinking": effort != "none"}
        kwargs = {**(special_tokens or {}), **{name: value for name, value in asked.items() if name in variables}}
        hi: Any = "Hi" if content == "string" else [{"type": "text", "text": "Hi"}]
        try:
            rendered: Any = render_jinja_template(
                conversations=[[{"role": "user", "content": hi}]],
                chat_template=source,
                add_generation_prompt=True,
                **kwargs,
            )
        except _RENDER_ERRORS:
            return None
        return str(rendered[0][0])

    return TemplateFormat(
        content=content,
        variables=variables,
        knows_developer='"developer"' in source or "'developer'" in source,
        system_first=_system_first(source),
        disabled_effort=_disabled_effort(render),
        default_kwargs=defaults,
    )


def content_format(template_source: str) -> ContentFormat:
    """Whether the template iterates over a message's content (`openai`: it wants a list of parts) or not (`string`).

    Follows vLLM's detection: a loop over `content` of a variable that loops over `messages` (or over a variable
    assigned from it, filtered or sliced), over a macro's parameter that is given such content, or, outside macros,
    over a variable named `content`.
    """
    try:
        tree = _parse(template_source)
        return "openai" if _loops_over_content(tree) else "string"
    except (jinja2.TemplateError, _NotUnderstood):
        return "string"


def _parse(source: str) -> nodes.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
    )
    return environment.parse(source)


def _loops_over_content(tree: nodes.Template) -> bool:
    message_names = set(_message_names(tree))
    macro_loops, parameters_of = set(), {}
    for macro in tree.find_all(nodes.Macro):
        parameters = _content_parameters(tree, macro, message_names)
        for loop in macro.find_all(nodes.For):
            macro_loops.add(id(loop))
            if parameters:
                parameters_of[id(loop)] = parameters
    for loop in tree.find_all(nodes.For):
        over_name = loop.iter.name if isinstance(loop.iter, nodes.Name) else None
        if (
            _reads_content(loop.iter, message_names)
            or (over_name is not None and over_name in parameters_of.get(id(loop), ()))
            or (over_name == "content" and id(loop) not in macro_loops)
        ):
            _target_name(loop.target)
            return True
    return False


def _message_names(tree: nodes.Template) -> Iterator[str]:
    """Targets of the loops over `messages`, or over what is assigned from it."""
    known, waiting = {"messages"}, ["messages"]
    while waiting:
        name = waiting.pop(0)
        for assign in tree.find_all(nodes.Assign):
            if _reads(assign.node, name):
                target = _target_name(assign.target)
                if target not in known:
                    known.add(target)
                    waiting.append(target)
    for loop in tree.find_all(nodes.For):
        if any(_reads(loop.iter, name) for name in known):
            yield _target_name(loop.target)


def _content_parameters(tree: nodes.Template, macro: nodes.Macro, message_names: set[str]) -> set[str]:
    names = [argument.name for argument in macro.args]
    found: set[str] = set()
    for call in tree.find_all(nodes.Call):
        if not (isinstance(call.node, nodes.Name) and call.node.name == macro.name):
            continue
        given = [*zip(names, call.args, strict=False), *((k.key, k.value) for k in call.kwargs if k.key in names)]
        found.update(name for name, value in given if _reads_content(value, message_names))
    return found


def _reads_content(node: nodes.Node, message_names: set[str]) -> bool:
    return any(_reads(node, name, "content") for name in message_names)


def _reads(node: nodes.Node | None, name: str, key: str | None = None) -> bool:
    """`node` is the variable `name` (or its `key`), possibly filtered, tested or sliced."""
    while isinstance(node, nodes.Filter | nodes.Test) or (
        isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    ):
        node = node.node
    if key is not None:
        if isinstance(node, nodes.Getattr):
            found = node.attr == key
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            found = node.arg.value == key
        else:
            found = False
        if not found:
            return False
        assert isinstance(node, nodes.Getattr | nodes.Getitem)
        node = node.node
    return isinstance(node, nodes.Name) and node.ctx == "load" and node.name == name


def _target_name(target: nodes.Node) -> str:
    if not isinstance(target, nodes.Name):
        raise _NotUnderstood
    return target.name


def _system_first(source: str) -> bool:
    """vLLM's own probe, in the same bare environment: without `raise_exception` a template's guard fails as well."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    turns = [{"role": role, "content": "t"} for role in ("system", "user", "system", "user")]
    try:
        environment.from_string(source).render(messages=turns, add_generation_prompt=False)
    except _RENDER_ERRORS:
        return True
    return False


def _disabled_effort(render: Callable[[str], str | None]) -> DisabledEffort:
    """`none`, or `low` for a template that rejects `none` or renders it like an effort that thinks."""
    without = render("none")
    if without is None or any(render(effort) == without for effort in _THINKING_EFFORTS):
        return "low"
    return "none"
