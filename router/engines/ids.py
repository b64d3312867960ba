"""Asks a worker for a prompt's token ids: with vLLM's /render routes, or with /tokenize.

The client's own bytes are sent: a body that was read and written again may differ in what a template prints. /render
(vLLM from 0.30 on, started with --enable-scale-out, else 403) renders what the real request would; vLLM's /tokenize
does not read every field of a request, SGLang's does.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import httpx
import msgspec

from router.engines.answers import AnswerFault, WorkerAnswerError, fetch
from tokenizer_cache.bodies.fields import ChatFields, given
from tokenizer_cache.bodies.request import Request
from tokenizer_cache.conversations.chain import SLICE_BYTES, read_ids

IdsEndpoint = Literal["render", "tokenize"]

IDS_ENDPOINTS: Final[dict[str, tuple[IdsEndpoint, ...]]] = {"vllm": ("render", "tokenize"), "sglang": ("tokenize",)}
"""The endpoints that give a prompt's ids, by kind of engine, the better one first."""
_RENDER: Final = {
    "chat": "/v1/chat/completions/render",
    "messages": "/v1/messages/render",
    "responses": "/v1/responses/render",
}
_UNREAD: Final = ("reasoning_effort", "documents", "truncate_prompt_tokens", "kv_transfer_params")
"""Fields of a chat request that vLLM's /tokenize does not read, though they change the prompt."""
_ABSENT: Final = frozenset((401, 403, 404, 405, 501))


_MOST_ADDED: Final = 1 << 16
"""A token is at least one byte; this many more tokens may come from the template (a default system prompt, tools'
rules)."""


class _Rendered(msgspec.Struct):
    token_ids: msgspec.Raw


class _Tokenized(msgspec.Struct):
    tokens: msgspec.Raw


def answers(engine: str, endpoint: IdsEndpoint, request: Request) -> bool:
    """Can this endpoint give the ids of such a request?"""
    if endpoint == "render":
        return request.api in _RENDER
    fields = request.fields
    if not isinstance(fields, ChatFields) or request.api != "chat":
        return False
    return engine == "sglang" or not any(given(getattr(fields, name)) for name in _UNREAD)


async def ask(client: httpx.AsyncClient, url: str, endpoint: IdsEndpoint, request: Request) -> Sequence[int]:
    """The ids of the request's prompt. Raises WorkerAnswerError."""
    path = _RENDER[request.api] if endpoint == "render" else "/tokenize"
    body = await fetch(client, url, path, bytes(request.body))
    most = len(request.body) + _MOST_ADDED
    try:
        if endpoint == "render":
            raw = msgspec.json.decode(body, type=_Rendered).token_ids
        else:
            raw = msgspec.json.decode(body, type=_Tokenized).tokens
        ids = read_ids(bytes(raw)) if len(raw) <= SLICE_BYTES else await asyncio.to_thread(read_ids, bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        raise WorkerAnswerError(path, "no token ids", AnswerFault.CONTENT) from None
    if len(ids) > most:
        raise WorkerAnswerError(path, "more token ids than the prompt can have", AnswerFault.CONTENT)
    return ids


def is_absent(error: WorkerAnswerError) -> bool:
    """True when the worker does not have this way, or not for this router."""
    return error.status in _ABSENT
