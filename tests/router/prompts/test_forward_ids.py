"""When ids go along, and where in the body they stand."""

import json
from dataclasses import replace
from typing import Any

import pytest

from router.engines import Facts
from router.prompts.forward_ids import body_with_ids
from tests.router.fleets import facts
from tokenizer_cache.chain import pack
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.request import Request, parse

IDS = [1, 151643, 7]
PROMPT = Prompt(b"", 0, 3, 16, True, "encoded", ids=pack(IDS))
VLLM, SGLANG = replace(facts(), version="0.30.0"), replace(facts(), engine="sglang", version="0.5.9")


def chat(**more: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "héllo"}], **more}
    return parse("chat", json.dumps(body, ensure_ascii=False).encode())


@pytest.mark.parametrize("version", ["0.30.0", "0.30.1rc2", "0.32.0+cpu", "0.33.0.dev1+gabc", "1.0.0"])
def test_vllm_gets_them_in_its_transfer_parameters(version: str) -> None:
    request = chat(stream=True, tools=[])
    body = body_with_ids(request, PROMPT, replace(VLLM, version=version))
    assert body is not None
    assert body.startswith(request.body[:-1])
    assert json.loads(body) == json.loads(request.body) | {"kv_transfer_params": {"prompt_token_ids": IDS}}


def test_sglang_gets_them_as_input_ids() -> None:
    request = chat()
    body = body_with_ids(request, PROMPT, SGLANG)
    assert body is not None
    assert json.loads(body) == json.loads(request.body) | {"input_ids": IDS}


@pytest.mark.parametrize(
    ("request_", "prompt", "worker"),
    [
        (chat(), PROMPT, None),
        (chat(), PROMPT, replace(VLLM, version="0.29.1")),
        (chat(), PROMPT, replace(VLLM, version="")),
        (chat(), PROMPT, replace(VLLM, engine="unknown")),
        (chat(), Prompt(b"", 0, 3, 16, True, "encoded"), VLLM),
        (chat(), Prompt(b"", 0, 3, 16, False, "estimate", ids=pack(IDS)), VLLM),
        (chat(echo=True), PROMPT, VLLM),
        (chat(kv_transfer_params={}), PROMPT, VLLM),
        (chat(kv_transfer_params=None), PROMPT, VLLM),
        (chat(kv_transfer_params={"do_remote_prefill": True}), PROMPT, VLLM),
        (chat(input_ids=[1]), PROMPT, SGLANG),
        (parse("messages", b'{"model":"m","messages":[{"role":"user","content":"x"}]}'), PROMPT, VLLM),
        (parse("responses", b'{"model":"m","input":"x"}'), PROMPT, VLLM),
    ],
)
def test_everything_else_goes_out_as_it_came(request_: Request, prompt: Prompt, worker: Facts | None) -> None:
    assert body_with_ids(request_, prompt, worker) is None
