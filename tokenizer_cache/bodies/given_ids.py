"""Chat requests that carry the ids of their prompt: the engine renders nothing then, and neither does this package.

vLLM from 0.30 on takes `kv_transfer_params.prompt_token_ids`, SGLang `input_ids`. Where the engine's version matters
(vLLM 0.33 looks at the messages all the same when they hold media or `echo` is set; 0.30 does not), the prompt is left
to be compared as text.
"""

from typing import Final

import msgspec

from tokenizer_cache.bodies.fields import given
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import read_ids

_MAX_ID: Final = 2**31


class _Transfer(msgspec.Struct):
    prompt_token_ids: msgspec.Raw


_TRANSFER: Final = msgspec.json.Decoder(_Transfer)


def ids_in_place_of_messages(request: Request, engine: str) -> bytes | None:
    """The packed ids that `engine` takes as the prompt of this chat request; None where it carries none that count."""
    fields = request.fields
    raw = given(fields.kv_transfer_params if engine == "vllm" else fields.input_ids)
    if not raw or request.api != "chat" or given(fields.echo) or request.has_media:
        return None
    try:
        ids = read_ids(bytes(_TRANSFER.decode(raw).prompt_token_ids) if engine == "vllm" else raw)
    except (msgspec.MsgspecError, OverflowError):
        return None
    return ids.tobytes() if ids and all(one < _MAX_ID for one in ids) else None
