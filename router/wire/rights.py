"""Checks what a request asks for: only models that its client may use, in every field where a worker may look for one,
and no connection from a worker to another machine."""

from collections.abc import Set
from operator import attrgetter
from typing import Final
from urllib.parse import parse_qs

import msgspec

from router.clients import Client
from router.wire.errors import ApiError
from router.wire.limits import ClientError, model_error
from tokenizer_cache.bodies.fields import ABSENT, Fields, given
from tokenizer_cache.bodies.once import fields_once

ADAPTER_FIELDS = frozenset({"lora_path", "lora_id", "lora_name", "lora_request", "adapter", "adapter_id", "adapters"})
"""Fields beside `model` that name an adapter: SGLang's is `lora_path`; the others are other engines'."""


TRANSFERS = ("ec_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room")
"""Fields by which the two halves of a prefill/decode pair find each other: vLLM's and SGLang's."""
_ALL_TRANSFERS: Final = attrgetter(*TRANSFERS, "kv_transfer_params", "vllm_xargs")
_NO_TRANSFERS: Final = (ABSENT,) * (len(TRANSFERS) + 2)

MAX_QUERY_FIELDS: Final = 256
"""Of one request's query. A query of 64 KiB could hold 32,000, which take 20 ms to read."""
_PLAIN: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_transfers(fields: Fields) -> None:
    """Raises ApiError 400 for fields that make an engine connect to a machine that the client names, to fetch or send
    the KV cache. The prompt's ids, which vLLM takes in one of these fields, are allowed if nothing else stands
    there."""
    if _ALL_TRANSFERS(fields) == _NO_TRANSFERS:  # as in nearly every request
        return
    wrong = next((name for name in TRANSFERS if given(getattr(fields, name))), "")
    if not wrong and _keys(fields.kv_transfer_params) - {"prompt_token_ids"}:
        wrong = "kv_transfer_params"
    if not wrong and {"kv_transfer_params", "ec_transfer_params"} & _keys(fields.vllm_xargs):
        wrong = "vllm_xargs"
    if wrong:
        message = f"'{wrong}' names another machine to move the KV cache from or to. Clients cannot ask for that here."
        raise ApiError(400, message, "unsupported_parameter", wrong)


def _keys(raw: msgspec.Raw) -> Set[str]:
    """The names in a JSON object. For anything else, a name that is never allowed."""
    if not (value := given(raw)):
        return frozenset()
    try:
        return _PLAIN.decode(value).keys()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {""}


def check_fields(client: Client, body: bytes) -> None:
    """Raises ApiError for a JSON body in which another reader could find a model that `client` may not use. Costs
    nothing for a client that may use all models, else one pass over the body. The caller checks `model` itself."""
    if client.spec.models is None:
        return
    fields = fields_once(body)
    if fields is None:
        message = "The body must be a JSON object in which each field is given once, and no name holds an escape."
        raise ApiError(400, message, "invalid_request")
    for name in ADAPTER_FIELDS & fields.keys():
        if (value := given(fields[name])) and not _may_use(client, value):
            raise model_error(client, name)


def check_query(client: Client, target: bytes) -> None:
    """Raises ApiError for a model in the query of a request that names its model in the body."""
    if client.spec.models is None or b"?" not in target:
        return
    text = target.partition(b"?")[2].decode("latin-1")
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        message = f"The query has more than {MAX_QUERY_FIELDS} fields."
        raise ApiError(400, message, "invalid_request") from None
    if "model" in query or ADAPTER_FIELDS & query.keys():
        raise model_error(client)


def check_unread(client: Client) -> None:
    """Raises ClientError where the client has rights or limits that cannot be enforced on a path whose bodies are not
    read."""
    spec = client.spec
    if spec.models is not None or spec.cache_salt or spec.uncached_tokens_per_minute is not None:
        message = (
            f"{client.label} has a list of models, a limit on tokens or a cache salt, which this path cannot enforce."
        )
        raise ClientError(403, message, "path_not_allowed", "path")


def _may_use(client: Client, value: bytes) -> bool:
    try:
        return client.may_use(msgspec.json.decode(value, type=str))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
