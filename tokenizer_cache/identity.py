"""What separates prompts that share their messages.

The *scope* is all that separates KV caches of equal token ids; it seeds the block chain. The *context* is the scope and
all that changes how messages become ids; it seeds the keys of the conversation cache. A field that were forgotten here
would give one tenant another one's prompt: so everything counts that is not known to be harmless.
"""

import re
from collections.abc import Sequence
from typing import Final

from tokenizer_cache.fields import ABSENT, ChatFields, CompletionFields, Fields, MessageFields, ResponseFields, given

_SCOPE = ("lora_path", "cache_salt", "extra_key")
_HARMLESS = frozenset(
    {"model", "stream", "stream_options", "messages", "input", "user", "prompt_logprobs", "logprobs", *_SCOPE}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "previous_response_id", "prompt"}
)
_CONTEXT: Final[dict[type[Fields], tuple[str, ...]]] = {
    kind: tuple(name for name in kind.__struct_fields__ if name not in _HARMLESS)
    for kind in (ChatFields, CompletionFields, MessageFields, ResponseFields)
}
_BILLING = b"x-anthropic-billing-header"
_BILLING_LINE = re.compile(rb'(?<=")x-anthropic-billing-header[^"\\]*')


def scope_key(format_name: str, fields: Fields) -> bytes:
    """What seeds the block chain: one value per separate KV cache name space."""
    parts = [format_name.encode(), fields.model.encode()]
    parts += [given(getattr(fields, name)) for name in _SCOPE]
    return _framed(parts)


def context_key(scope: bytes, fields: Fields) -> bytes:
    """What seeds the conversation keys: `scope` and every field that may change the rendering."""
    parts = [scope, type(fields).__name__.encode()]
    for name in _CONTEXT[type(fields)]:
        raw = getattr(fields, name)
        if raw is ABSENT or not (value := given(raw)):
            continue
        if _BILLING in value:  # differs on every request of Claude Code; engines drop it
            value = _BILLING_LINE.sub(_BILLING, value)
        parts += (name.encode(), value)
    return _framed(parts)


def _framed(parts: Sequence[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
