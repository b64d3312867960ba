"""Whether a client may use every model that a worker could find in its request, wherever a worker may look for one."""

from urllib.parse import parse_qs

import msgspec

from router.clients import Client
from router.http.errors import ApiError
from router.http.limits import ClientError, model_error
from tokenizer_cache.fields import given
from tokenizer_cache.once import fields_once

ADAPTER_FIELDS = frozenset({"lora_path", "lora_id", "lora_name", "lora_request", "adapter", "adapter_id", "adapters"})
"""Beside `model`: SGLang takes an adapter as `lora_path`; the others are other engines' names for it."""


def check_fields(client: Client, body: bytes) -> None:
    """Raises ApiError for a JSON body in which another reader could find a model that `client` may not use. Costs
    nothing for a client that may use all; else a pass over the body. `model` itself is for the caller to check."""
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
    query = parse_qs(target.partition(b"?")[2].decode("latin-1"), keep_blank_values=True)
    if "model" in query or ADAPTER_FIELDS & query.keys():
        raise model_error(client)


def check_unread(client: Client) -> None:
    """Raises ClientError where the client has rights or limits that cannot be kept on a path that is not read."""
    spec = client.spec
    if spec.models is not None or spec.cache_salt or spec.uncached_tokens_per_minute is not None:
        message = f"{client.label} has models, a limit on tokens or a cache of its own, which this path cannot keep."
        raise ClientError(403, message, "path_not_allowed", "path")


def _may_use(client: Client, value: bytes) -> bool:
    try:
        return client.may_use(msgspec.json.decode(value, type=str))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
