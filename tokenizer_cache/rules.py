"""How one engine turns a request into a prompt: the contract that each engine's rules keep, and its values.

Rules are exact or refuse: they raise NotExact for everything that they do not know for sure, and the caller falls back
to chunks of the text, because a wrong prompt would be worse than none. They work on plain dicts and must not change
their arguments. Never log a body from here.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

BILLING_HEADER: Final = "x-anthropic-billing-header"
"""Claude Code begins its system prompt with this line; its value differs on every request, so vLLM drops it."""
_INPUTS = frozenset(("self", "model_config", "tokenizer", "tokenizer_kwargs", "conversation", "messages", "tools"))
_OPTIONS = frozenset(
    ("chat_template", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict")
)
OWN_ARGUMENTS: Final = _INPUTS | _OPTIONS | {"return_assistant_tokens_mask"}
"""Template arguments of a request that would reach the rendering function of transformers itself, which both engines
call: such requests are refused or harmful, and rare."""


class NotExact(Exception):
    """The request cannot be rendered exactly here. Holds no text of the request."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """One word from a closed set, a metric label."""


def string(value: Any) -> str:
    """The value, which an engine takes only if it is a string. Raises NotExact."""
    if not isinstance(value, str):
        raise NotExact("invalid")
    return value


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a server that change the prompts of its model. Equal values render equally."""

    engine: str = "vllm"
    default_kwargs: dict[str, Any] = {}
    """Template arguments that the server sets where a request does not (--default-chat-template-kwargs)."""
    reasoning_parser: str = ""
    """SGLang only: decides how an Anthropic client's thinking reaches the template."""
    own_template: bool = False
    """True when the server uses another template than the tokenizer's."""
    multimodal: bool = False
    """SGLang only: such a model's prompts are turned into text again, and only some tokenizers survive that."""
    not_exact: str = ""
    """Why no chat prompt of this server can be exact here (a metric label); empty where it can."""
    completions_exact: bool = True
    """False where the server puts completion prompts into a template of its own."""

    @property
    def key(self) -> str:
        """A text that differs for different formats: the engine, and a digest of all options that differ from the
        default."""
        if self == Served(engine=self.engine):
            return self.engine
        said = msgspec.json.encode(self, order="sorted")
        return f"{self.engine}~{hashlib.blake2b(said, digest_size=16).hexdigest()}"


class TemplateCall(msgspec.Struct, frozen=True):
    """The arguments of one rendering: `apply_chat_template(messages, tools=tools, add_generation_prompt=...,
    continue_final_message=..., tokenize=False, **kwargs)`, then an encode with `add_special_tokens`."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    kwargs: dict[str, Any]
    """Template arguments after precedence, `documents` among them."""
    add_generation_prompt: bool
    continue_final_message: bool
    add_special_tokens: bool
    suffix: str = ""
    """Text that is encoded alone, with all special tokens but the first; its ids follow the prompt's."""
    bare_tools: bool = False
    """Where the template refuses the tools, the engine tries it again with only their functions."""
    settled: bool = True
    """False where the last message is rendered in another way than it will be when others follow it."""


class Rules(Protocol):
    """How one engine turns a body into a template call. Pure; safe in several threads."""

    def call(self, api: str, body: dict[str, Any]) -> TemplateCall:
        """What is rendered for a decoded body of `api` (`chat`, `messages` or `responses`). Parts of the body are
        shared with the answer. Raises NotExact."""
        ...

    def messages(self, api: str, items: Sequence[Any]) -> list[dict[str, Any]]:
        """What some raw messages in the middle of a conversation become, each handled alone. Raises NotExact."""
        ...
