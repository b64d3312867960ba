"""What separates prompts that share their messages.

The *scope* is everything that separates KV caches of equal token ids; it seeds the block chain. The *context* is the
scope and everything that changes how messages become ids; it begins the keys of the conversation cache. A field that is
missing here would give one tenant the prompt of another: so every field counts, byte for byte, unless it is known to be
harmless.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, repeat
from operator import attrgetter, is_not
from typing import Final

import msgspec

from tokenizer_cache.bodies.fields import (
    ABSENT,
    ASIDE,
    ChatFields,
    CompletionFields,
    Fields,
    MessageFields,
    ResponseFields,
    given,
)
from tokenizer_cache.rules import BILLING_HEADER

_SCOPE = ("lora_path", "cache_salt", "extra_key")
_HARMLESS = frozenset(
    {"model", "stream", "stream_options", "messages", "user", "prompt_logprobs", "logprobs", *_SCOPE, *ASIDE}
    | {"max_tokens", "max_completion_tokens", "max_output_tokens", "previous_response_id", "prompt"}
)
CONTEXT: Final[dict[type[Fields], tuple[str, ...]]] = {
    kind: tuple(name for name in kind.__struct_fields__ if name not in _HARMLESS)
    for kind in (ChatFields, CompletionFields, MessageFields, ResponseFields)
}
"""Fields that count, by API."""
_VALUES: Final[dict[type[Fields], Callable[[Fields], tuple[msgspec.Raw, ...]]]] = {
    kind: attrgetter(*names) for kind, names in CONTEXT.items()
}
_BILLING: Final = BILLING_HEADER.encode()
_BLOCKS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_BLOCK: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING: Final = msgspec.json.Decoder(str)


def scope_key(format_name: str, fields: Fields) -> bytes:
    """What seeds the block chain: one value per separate KV cache name space."""
    parts = [format_name.encode(), fields.model.encode()]
    parts += [given(getattr(fields, name)) for name in _SCOPE]
    return framed(parts)


def plain_scope(format_name: str, model: str) -> bytes:
    """The scope of requests that name a model and nothing else that separates caches."""
    return framed([format_name.encode(), model.encode(), *(b"" for _ in _SCOPE)])


def context_key(scope: bytes, fields: Fields, engine: str) -> bytes:
    """What begins the conversation keys: `scope` and every field that may change how `engine` renders. Null is not the
    same as absent: some engines refuse the one and have a default for the other."""
    parts = [scope, type(fields).__name__.encode()]
    for name, raw in _counted(fields):
        value = bytes(raw)
        if name == "system" and engine == "vllm" and _BILLING in value and value.startswith(b"["):
            parts += (b"blocks of system", framed(without_billing(value)))
        else:
            parts += (name.encode(), value)
    return framed(parts)


def without_billing(system: bytes) -> Sequence[bytes]:
    """The blocks of an Anthropic system prompt that vLLM does not drop: it drops whole blocks, by how their text
    begins."""
    return [bytes(block) for block in _BLOCKS.decode(system) if not _is_billing(block)]


def framed(parts: Sequence[bytes]) -> bytes:
    """All parts in one byte string; different parts never give the same string."""
    return b"".join([len(part).to_bytes(4, "little") + part for part in parts])


def _counted(fields: Fields) -> Iterator[tuple[str, msgspec.Raw]]:
    """The fields that count and are there. Most of some thirty are not, so they are passed over in C."""
    values = _VALUES[type(fields)](fields)
    return compress(zip(CONTEXT[type(fields)], values, strict=True), map(is_not, values, repeat(ABSENT)))


def _is_billing(block: msgspec.Raw) -> bool:
    if _BILLING not in bytes(block):
        return False
    try:
        keys = _BLOCK.decode(block)
        if "text" not in keys or _STRING.decode(keys.get("type", ABSENT)) != "text":
            return False
        return _STRING.decode(keys["text"]).startswith(BILLING_HEADER)
    except (msgspec.DecodeError, RecursionError):
        return False
