"""A request body, read once: what routing and tokenizing need, and nothing else.

Messages, tools and every field that only identity needs stay raw bytes, so that the cost does not grow with the number
of objects in a prompt, and the body can be forwarded untouched. Only the fields that routing reads are checked here;
the worker checks the rest.
"""

import codecs
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenizer_cache.bodies.density import MAX_ITEMS, too_many_items
from tokenizer_cache.bodies.fields import (
    ABSENT,
    ChatFields,
    CompletionFields,
    Fields,
    MessageFields,
    Raw,
    ResponseFields,
    bad_type,
    given,
    holds_media,
)
from tokenizer_cache.bodies.items import Items
from tokenizer_cache.conversations.chain import read_ids
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.prompt import BadRequest

_UNSHARED: Final = KeyedHash(secrets.token_bytes(32))
"""For callers whose digests no other process uses."""
_TEXT_INPUT: Final = Raw(b'""')
"""Replaces an input that is one string: a list of that string would be another prompt."""
_LIST_START = re.compile(rb"\[\s*(\S)")
_MAX_PROMPTS = 4096
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_PIECE_BYTES = 16 << 10
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "chat": msgspec.json.Decoder(ChatFields),
    "completions": msgspec.json.Decoder(CompletionFields),
    "messages": msgspec.json.Decoder(MessageFields),
    "responses": msgspec.json.Decoder(ResponseFields),
}
_RAW_LIST: Final = msgspec.json.Decoder(list[Raw])
_STRING: Final = msgspec.json.Decoder(str)
_STRINGS: Final = msgspec.json.Decoder(list[str])


class Frame:
    """A request without its items. It is equal for nearly all turns of a client's conversations, which then share one.
    Immutable except `memo`, where encoders keep what they derived from it."""

    __slots__ = ("fields", "memo", "teachable")

    def __init__(self, fields: Fields, prompts: Sequence[str | bytes] = ()) -> None:
        self.fields = fields
        """All fields except the items."""
        self.teachable = _teachable(fields, prompts)
        self.memo: dict[object, object] = {}


class Request:
    """One request as the client sent it. Immutable except `memo`, where encoders keep what they have recognised."""

    __slots__ = ("_digest", "api", "body", "conversation", "frame", "memo", "prompts")

    def __init__(
        self, api: str, body: bytes, frame: Frame, conversation: Items, prompts: Sequence[str | bytes] = ()
    ) -> None:
        self.api = api
        self.body = body
        self.frame = frame
        self.conversation = conversation
        """Raw messages (chat, messages) or input items (responses, where a string is one item); else empty."""
        self.prompts = prompts
        """Completions only: strings, or token ids packed as little-endian u32."""
        self.memo: dict[object, object] = {}
        self._digest: bytes | None = None

    @property
    def fields(self) -> Fields:
        return self.frame.fields

    @property
    def teachable(self) -> bool:
        """False where the engine's cached-token count says nothing."""
        return self.frame.teachable

    @property
    def items(self) -> list[Raw]:
        """All items. Reads the ones that are not read yet."""
        return self.conversation.since(0)

    @property
    def model(self) -> str:
        return self.fields.model

    @property
    def stream(self) -> bool:
        return self.fields.stream is True

    @property
    def include_usage(self) -> bool:
        """True where the client itself asked for the usage chunk of a stream."""
        options = self.fields.stream_options
        return options is not None and options.include_usage is True

    @property
    def previous_response_id(self) -> str | None:
        return self.fields.previous_response_id if isinstance(self.fields, ResponseFields) else None

    @property
    def user(self) -> str | None:
        return _text_of(self.fields.user)

    @property
    def cache_salt(self) -> str | None:
        return _text_of(self.fields.cache_salt)

    @property
    def max_tokens(self) -> int | None:
        """The client's limit on generated tokens, when it gave a plain non-negative integer."""
        for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
            raw = given(getattr(self.fields, name, ABSENT))
            if raw.isdigit() and len(raw) < 10:
                return int(raw)
        return None

    @property
    def has_media(self) -> bool:
        """True where any message or item holds an image, audio, video, file or embedding part. Scans all of them."""
        return any(holds_media(bytes(item)) for item in self.items)

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for the whole body, in this process."""
        if self._digest is None:
            self._digest = _UNSHARED.of(self.body)
        return self._digest

    @property
    def turn(self) -> bytes:
        """16 bytes that are the same when the same messages are sent again, with whatever other fields."""
        items = self.conversation
        return items.digest(len(items)) if len(items) else self.digest


def bears_marks(api: str) -> bool:
    """May the messages of `api` carry cache marks that no engine puts into a prompt?"""
    return api == "messages"


def parse(api: str, body: bytes, keyed: KeyedHash = _UNSHARED) -> Request:
    """Read the body of a request to `api` ("chat", "completions", "messages" or "responses"). `keyed` makes the
    digests.

    Costs one pass over the body (about 0.4 us per KB). Raises BadRequest, with the parameter's name where there is one.
    """
    fields = decode(api, body)
    if not fields.model:
        raise BadRequest("you must provide a model parameter", "model")
    if isinstance(fields, CompletionFields):
        prompts = _read_prompts(fields)
        return Request(
            api, body, Frame(fields, prompts), Items([] if prompts else [fields.prompt_embeds], keyed), prompts
        )
    items = take_items(fields)
    if not items and api != "responses":
        raise BadRequest("[] is too short - 'messages'", "messages")
    if len(items) > MAX_ITEMS:
        raise too_many_items()
    return Request(api, body, Frame(fields), Items(items, keyed, may_bear_marks=bears_marks(api)))


def decode(api: str, body: bytes) -> Fields:
    """The fields of a body. Raises BadRequest."""
    fields: Fields = _decode(_DECODERS[api], body)
    return fields


def decode_list(raw: bytes) -> list[Raw]:
    """The members of a JSON array. Raises BadRequest."""
    members: list[Raw] = _decode(_RAW_LIST, raw)
    return members


def take_items(fields: Fields) -> list[Raw]:
    """The items, taken out of the fields. Raises BadRequest."""
    if isinstance(fields, ResponseFields):
        items = _read_input(fields)
        fields.input = ABSENT if bytes(fields.input).startswith(b"[") else _TEXT_INPUT
        return items
    assert isinstance(fields, ChatFields | MessageFields)
    items, fields.messages = fields.messages, []
    return items


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        if not body.isascii():
            _check_utf8(body)  # raw fields are not checked by the JSON decoder
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest("The request body is not valid UTF-8.") from error
    except RecursionError as error:
        raise BadRequest("The JSON in the request body is nested too deep.") from error
    except msgspec.ValidationError as error:
        raise bad_type(str(error)) from error
    except msgspec.DecodeError as error:
        why = "a lone surrogate" if _SURROGATE.search(body) and body.rstrip().endswith((b"}", b"]")) else str(error)
        raise BadRequest(f"We could not parse the JSON body of your request: {why}.") from error


def _check_utf8(body: bytes) -> None:
    """Check piece by piece: a buffer of the body's size would cost three times as much as the check."""
    view, done = memoryview(body), 0
    while done < len(body):
        end = done + _PIECE_BYTES
        done += codecs.utf_8_decode(view[done:end], "strict", end >= len(body))[1]


def _read_input(fields: ResponseFields) -> list[Raw]:
    raw = bytes(fields.input)
    if raw.startswith(b'"'):
        return [fields.input]
    if not raw.startswith(b"["):
        raise BadRequest("Invalid type for 'input': expected a string or an array.", "input")
    return decode_list(raw)


def _read_prompts(fields: CompletionFields) -> list[str | bytes]:
    """The four shapes of `prompt`, which differ in their first bytes."""
    raw = given(fields.prompt)
    if not raw and given(fields.prompt_embeds):
        return []
    if raw.startswith(b'"'):
        return [_decode_prompt(_STRING, raw)]
    found = _LIST_START.match(raw)
    inner = found[1] if found else b"]"
    if inner == b"]":
        raise BadRequest("'prompt' must be a non-empty string, array of strings, or array of token ids.", "prompt")
    prompts: list[str | bytes]
    if inner == b'"':
        prompts = _decode_prompt(_STRINGS, raw)
    elif inner == b"[":
        if raw.count(b"[") > _MAX_PROMPTS + 1:
            raise _too_many_prompts()
        prompts = [_pack(bytes(ids)) for ids in _decode_prompt(_RAW_LIST, raw)]
    else:
        prompts = [_pack(raw)]
    if len(prompts) > _MAX_PROMPTS:
        raise _too_many_prompts()
    return prompts


def _too_many_prompts() -> BadRequest:
    return BadRequest(f"Too many prompts: at most {_MAX_PROMPTS} are accepted.", "prompt")


def _decode_prompt(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return _decode(decoder, raw)
    except BadRequest as error:
        raise BadRequest(f"Invalid 'prompt': {error.message}", "prompt") from error


def _pack(raw: bytes) -> bytes:
    try:
        return read_ids(raw).tobytes()
    except msgspec.DecodeError as error:
        raise BadRequest("Invalid 'prompt': not a list of token ids.", "prompt") from error
    except OverflowError as error:
        raise BadRequest("Invalid 'prompt': a token id is negative or too large.", "prompt") from error


def _text_of(raw: Raw) -> str | None:
    value = given(raw)
    if not value.startswith(b'"'):
        return None
    text: str = _decode(_STRING, value)
    return text


def _teachable(fields: Fields, prompts: Sequence[str | bytes]) -> bool:
    if len(prompts) > 1 or given(fields.prompt_logprobs):
        return False
    echoed = given(fields.echo) == b"true" and isinstance(fields, CompletionFields)
    return not (echoed and isinstance(fields, CompletionFields) and given(fields.logprobs))
