"""What a chat template's source tells SGLang about the input that it wants. Worked out once, at loading.

SGLang looks at the words of the source where vLLM follows its variables, so the two differ for the same template.
Facts as of 0.5.23.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import jinja2
import jinja2.ext
import jinja2.sandbox
import msgspec
from jinja2 import nodes

from tokenizer_cache.jinja import compiled
from tokenizer_cache.rules import Served

_MEDIA_WORDS = ("image", "audio", "video", "vision")
_MESSAGE_NAMES = ("message", "msg", "m")
_SENTINEL = "a later system message"
_SPECIAL = ("<|channel|>", "[THINK]", "reasoning_mode_token", "low_effort", "<ifm|think>", "<mm:think>")
"""Words of templates for which SGLang has special switches of reasoning."""
_ENABLE_THINKING = re.compile(
    r"enable_thinking\s+is\s+(?:defined\s+and\s+(?:enable_thinking\s+is\s+false|not\s+enable_thinking)"
    r"|not\s+defined\s+or\s+enable_thinking)"
)


class SglangFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One chat template and server as SGLang sees them. Build with `sglang_format`."""

    content: Literal["string", "openai"]
    """`string`: text parts are joined with a space. `openai`: lists stay lists, strings stay strings."""
    inline_system: bool
    """False: /v1/messages and /v1/responses merge later system messages into the first one."""
    switches_thinking: bool
    """True when an Anthropic client's `thinking` sets `enable_thinking`. False when it is not known what it sets."""
    low_effort: bool
    """True when the template has its own switch for low effort, which is not followed here."""
    served: Served
    special_tokens: Mapping[str, Any]


def sglang_format(source: str, special_tokens: Mapping[str, Any], served: Served) -> SglangFormat:
    """Everything that is derived from a template's source. Takes milliseconds. Raises jinja2.TemplateError."""
    return SglangFormat(
        content=_content(source),
        inline_system=_inline_system(source),
        switches_thinking=_ENABLE_THINKING.search(source) is not None and not any(w in source for w in _SPECIAL),
        low_effort="low_effort" in source,
        served=served,
        special_tokens=special_tokens,
    )


def _content(source: str) -> Literal["string", "openai"]:
    if any(word in source for word in _MEDIA_WORDS):
        return "openai"
    tree = compiled(source).environment.parse(source)
    loops = tree.find_all(nodes.For)
    return "openai" if any(_reads_content(loop.iter) for loop in loops) else "string"


def _reads_content(node: nodes.Node | None) -> bool:
    """`content` of a variable with one of the usual names, possibly filtered, tested or sliced."""
    while isinstance(node, nodes.Filter | nodes.Test) or (
        isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    ):
        node = node.node
    if isinstance(node, nodes.Getattr):
        key = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    else:
        return False
    return key == "content" and isinstance(node.node, nodes.Name) and node.node.name in _MESSAGE_NAMES


def _inline_system(source: str) -> bool:
    """SGLang's own probe, in the same bare environment: does a system message in the middle reach the text?"""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    said = (("system", "t"), ("user", "t"), ("system", _SENTINEL), ("user", "t"))
    turns = [{"role": role, "content": content} for role, content in said]
    try:
        return _SENTINEL in environment.from_string(source).render(messages=turns, add_generation_prompt=False)
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
