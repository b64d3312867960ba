"""What separates prompts that share their messages.

The *scope* is all that separates KV caches of equal token ids; it seeds the block chain. The *context* is the scope and
all that changes how messages become ids; it seeds the keys of the conversation cache. A field that were forgotten here
would give one tenant another one's prompt: so everything counts that is not known to be harmless.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import xxhash

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
_MARKED_ITEMS = 8
_MARKED_END = 160
"""Marks stand on the last part of a message: its last bytes show them."""
_BILLING = b"x-anthropic-billing-header"
_BILLING_LINE = re.compile(rb'(?<=")x-anthropic-billing-header[^"\\]*')
_CACHE_CONTROL = re.compile(
    rb',\s*"cache_control"\s*:\s*\{\s*"type"\s*:\s*"ephemeral"\s*(?:,\s*"ttl"\s*:\s*"\w+"\s*)?\}'
)


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


def boundary_keys(context: bytes, items: Sequence[msgspec.Raw]) -> list[bytes]:
    """Keys of the conversation's starts: number k stands for the context and its first k items. 16 bytes each."""
    running = xxhash.xxh3_128(context)
    update, digest = running.update, running.digest
    keys = [digest()]
    for item in items:
        update(item)
        keys.append(digest())
    return keys


def unmarked(items: list[msgspec.Raw]) -> list[msgspec.Raw]:
    """Items as they count for recognition: without Anthropic's cache marks at the end of the last ones, which move on
    from turn to turn. An assistant's tool input is left alone: a key of that name may be its own."""
    for place in range(max(0, len(items) - _MARKED_ITEMS), len(items)):
        if b'"cache_control"' in bytes(memoryview(items[place])[-_MARKED_END:]):
            raw = bytes(items[place])
            if b'"tool_use"' not in raw:
                items = items.copy()
                items[place] = msgspec.Raw(_CACHE_CONTROL.sub(b"", raw))
    return items


def _framed(parts: Sequence[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)
