"""From a request's body to the token ids of its prompts, whatever the API and the tokenizer.

A *token source* is what stands in for the engine's tokenizer. It also chooses the words of the answers, so that the
ids which the engine caches for an answer are those of its text.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from loadtests.engine.chains import Ids
from loadtests.engine.errors import Refused

Body = dict[str, Any]
CONVERSATIONS = ("chat", "messages", "responses")


class Words(NamedTuple):
    """An answer: token i is `texts[i]`, whose id is `ids[i]`."""

    ids: Ids
    texts: list[bytes]


class TokenSource(Protocol):
    """A tokenizer. Raises Refused(400) for a body that it cannot read."""

    async def conversation(self, api: str, body: Body) -> Ids:
        """The ids of a chat-like body, template included, up to where the answer begins."""
        ...

    async def text(self, text: str, add_special_tokens: bool) -> Ids:
        """The ids of a plain text."""
        ...

    def words(self, seed: int, count: int) -> Words:
        """An answer of `count` tokens that depends on the seed alone. ASCII, and nothing that JSON escapes."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids."""
        ...


async def prompts_of(source: TokenSource, api: str, body: Body) -> list[Ids]:
    """The prompts of a generating request: one, or for completions one or more in the order of their choices."""
    if api in CONVERSATIONS:
        ids = _given_ids(body)
        return await texts_of(source, ids, "prompt_token_ids") if ids else [await source.conversation(api, body)]
    return await texts_of(source, body.get("prompt"), "prompt", body.get("add_special_tokens", True) is True)


def _given_ids(body: Body) -> object:
    """Ids that stand in for the messages: vLLM's way of saying it, then SGLang's."""
    transfer = body.get("kv_transfer_params")
    return (transfer.get("prompt_token_ids") if isinstance(transfer, dict) else None) or body.get("input_ids")


async def texts_of(source: TokenSource, value: object, name: str, add_special_tokens: bool = True) -> list[Ids]:
    """The prompts of a field in one of its four shapes: a string, strings, ids, lists of ids."""
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        value = [value]
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Refused(400, f"{name} must not be empty", name)
    return [await _one(source, item, name, add_special_tokens) for item in items]


async def _one(source: TokenSource, item: object, name: str, add_special_tokens: bool) -> Ids:
    if isinstance(item, str):
        return await source.text(item, add_special_tokens)
    if isinstance(item, list) and all(type(number) is int and 0 <= number < 2**32 for number in item):
        return np.array(item, dtype=np.uint32)
    raise Refused(400, f"{name} must be a string, a list of strings, token ids, or a list of those", name)
