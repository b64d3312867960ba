"""Chat requests that bring ids along: counted as the prompt where the engine counts them so, and else not exact."""

import json
from typing import Any

import pytest

from tests.tokenizer_cache.small import small
from tokenizer_cache.bodies.given_ids import ids_in_place_of_messages
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.encoder import PromptEncoder

MEDIA = [{"type": "image_url", "image_url": {"url": "https://x"}}]


def chat(content: Any = "hi", **more: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
    return parse("chat", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("request_", "engine", "ids"),
    [
        (chat(kv_transfer_params={"prompt_token_ids": [1, 2, 3], "more": 1}), "vllm", [1, 2, 3]),
        (chat(input_ids=[4, 5]), "sglang", [4, 5]),
        (chat(input_ids=[4, 5]), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": [1]}), "sglang", None),
        (chat(kv_transfer_params={"prompt_token_ids": None}), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": []}), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": [1, -1]}), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": [1, True]}), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": [2**40]}), "vllm", None),
        (chat(kv_transfer_params={"prompt_token_ids": [1]}, echo=True), "vllm", None),
        (chat(MEDIA, kv_transfer_params={"prompt_token_ids": [1]}), "vllm", None),
        (chat(input_ids=[[4, 5]]), "sglang", None),
        (chat(), "vllm", None),
    ],
)
def test_only_ids_that_the_engine_would_take_count(request_: Request, engine: str, ids: list[int] | None) -> None:
    assert ids_in_place_of_messages(request_, engine) == (None if ids is None else pack(ids))


def test_the_prompt_is_these_ids_and_not_the_messages() -> None:
    encoder = PromptEncoder("test", small("chatml"), 4, b"secret")
    request = chat(kv_transfer_params={"prompt_token_ids": list(range(10))})
    chain = Chain(16, b"secret")
    expected, _ = chain.extend(chain.root(scope_key("test", request.fields)), b"", pack(range(10)))
    for prompt in (encoder.recognise(request), encoder.encode(request)):
        assert (prompt.exact, prompt.source, prompt.tokens, prompt.chain) == (True, "ids", 10, expected)
    assert encoder.tail_bytes(request) == 0
