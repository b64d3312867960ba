"""The request bodies' fields, one struct per API, and the errors for wrong ones.

A field is typed only where routing reads it; the others are raw bytes that identity and rendering look at. A field that
is missing here never reaches a cache key: a new engine option that changes the prompt must be added.
"""

import re
from typing import Final

import msgspec

from tokenizer_cache.prompt import BadRequest

Raw = msgspec.Raw
ABSENT: Final = Raw()

_TYPE_ERROR = re.compile(r"Expected `(?P<expected>.+)`, got `(?P<got>.+)` - at `\$\.(?P<path>.+)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>.+)`")
_MEDIA = re.compile(
    rb'"type"\s*:\s*"(?:image|image_url|input_image|image_pil|image_embeds|audio|audio_url|audio_embeds|input_audio'
    rb'|video|video_url|input_video|file|input_file|document|prompt_embeds)"'
)


class StreamOptions(msgspec.Struct):
    """The part of `stream_options` that routing reads."""

    include_usage: bool | None = None


class Fields(msgspec.Struct, kw_only=True):
    """The fields that all the APIs share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Raw = ABSENT
    cache_salt: Raw = ABSENT
    extra_key: Raw = ABSENT
    lora_path: Raw = ABSENT
    max_tokens: Raw = ABSENT
    tools: Raw = ABSENT
    tool_choice: Raw = ABSENT
    chat_template_kwargs: Raw = ABSENT
    add_special_tokens: Raw = ABSENT
    truncate_prompt_tokens: Raw = ABSENT
    truncation_side: Raw = ABSENT
    echo: Raw = ABSENT
    prompt_logprobs: Raw = ABSENT
    kv_transfer_params: Raw = ABSENT
    ec_transfer_params: Raw = ABSENT
    vllm_xargs: Raw = ABSENT
    bootstrap_host: Raw = ABSENT
    bootstrap_port: Raw = ABSENT
    bootstrap_room: Raw = ABSENT
    input_ids: Raw = ABSENT
    prompt_cache_key: Raw = ABSENT
    metadata: Raw = ABSENT
    session_id: Raw = ABSENT
    priority: Raw = ABSENT


ASIDE: Final = frozenset({"prompt_cache_key", "metadata", "session_id", "priority"})
"""Fields that say whose request it is and how urgent, and reach no prompt."""


class ChatFields(Fields, kw_only=True):
    """`/v1/chat/completions`."""

    messages: list[Raw]
    max_completion_tokens: Raw = ABSENT
    chat_template: Raw = ABSENT
    add_generation_prompt: Raw = ABSENT
    continue_final_message: Raw = ABSENT
    documents: Raw = ABSENT
    reasoning_effort: Raw = ABSENT
    reasoning: Raw = ABSENT
    thinking: Raw = ABSENT
    task: Raw = ABSENT
    response_format: Raw = ABSENT
    mm_processor_kwargs: Raw = ABSENT
    media_io_kwargs: Raw = ABSENT


class CompletionFields(Fields, kw_only=True):
    """`/v1/completions`."""

    prompt: Raw = ABSENT
    prompt_embeds: Raw = ABSENT
    suffix: Raw = ABSENT
    logprobs: Raw = ABSENT


class ResponseFields(Fields, kw_only=True):
    """`/v1/responses`."""

    input: Raw
    instructions: Raw = ABSENT
    previous_response_id: str | None = None
    max_output_tokens: Raw = ABSENT
    reasoning: Raw = ABSENT
    text: Raw = ABSENT
    prompt: Raw = ABSENT
    previous_input_messages: Raw = ABSENT
    truncation: Raw = ABSENT


class MessageFields(Fields, kw_only=True):
    """`/v1/messages` (Anthropic)."""

    messages: list[Raw]
    system: Raw = ABSENT
    thinking: Raw = ABSENT
    output_config: Raw = ABSENT


def given(raw: Raw) -> bytes:
    """The field's JSON, or b"" where it is absent or null."""
    value = bytes(raw)
    return b"" if value == b"null" else value


def holds_media(raw: bytes) -> bool:
    """True where a message's JSON holds a part that is not text. Text that quotes such JSON has its quotes escaped."""
    return _MEDIA.search(raw) is not None


def bad_type(message: str) -> BadRequest:
    """The JSON decoder's complaint in the words of the OpenAI API."""
    if found := _MISSING_FIELD.match(message):
        name = found["field"]
        text = "you must provide a model parameter" if name == "model" else f"Missing required parameter: '{name}'."
        return BadRequest(text, name)
    if found := _TYPE_ERROR.match(message):
        path = found["path"]
        return BadRequest(f"Invalid type for '{path}': expected {found['expected']}, got {found['got']}.", path)
    return BadRequest("The request body must be a JSON object.")
