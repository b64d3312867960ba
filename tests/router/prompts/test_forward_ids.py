"""When ids go along, and where in the body they stand."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from router.engines import Facts
from router.prompts.forward_ids import STEP_IDS, body_with_ids, write_ids
from tests.router.fleets import facts
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.chain import pack
from tokenizer_cache.prompt import Prompt

IDS = [1, 151643, 7]
PROMPT = Prompt(b"", 0, 3, 16, True, "encoded", ids=pack(IDS))
VLLM, SGLANG = replace(facts(), version="0.30.0"), replace(facts(), engine="sglang", version="0.5.9")


def chat(**more: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": "héllo"}], **more}
    return parse("chat", json.dumps(body, ensure_ascii=False).encode())


async def written(request: Request, prompt: Prompt, worker: Facts | None) -> bytes | None:
    await write_ids(request, prompt)
    return body_with_ids(request, prompt, worker)


def replace_ids(prompt: Prompt, ids: list[int]) -> Prompt:
    return structs.replace(prompt, ids=pack(ids))


@pytest.mark.parametrize("version", ["0.30.0", "0.30.1rc2", "0.32.0+cpu", "0.33.0.dev1+gabc", "1.0.0"])
async def test_vllm_gets_them_in_its_transfer_parameters(version: str) -> None:
    request = chat(stream=True, tools=[])
    body = await written(request, PROMPT, replace(VLLM, version=version))
    assert body is not None
    assert body.startswith(request.body[:-1])
    assert json.loads(body) == json.loads(request.body) | {"kv_transfer_params": {"prompt_token_ids": IDS}}


async def test_sglang_gets_them_as_input_ids() -> None:
    request = chat()
    body = await written(request, PROMPT, SGLANG)
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
async def test_everything_else_goes_out_as_it_came(request_: Request, prompt: Prompt, worker: Facts | None) -> None:
    assert await written(request_, prompt, worker) is None


async def test_many_are_written_in_steps_between_which_others_have_their_turn() -> None:
    ids = list(range(10 * STEP_IDS + 7))
    request, prompt = chat(), replace_ids(PROMPT, ids)
    turns, writing = 0, asyncio.create_task(write_ids(request, prompt))
    while not writing.done():
        await asyncio.sleep(0)
        turns += 1
    body = body_with_ids(request, prompt, SGLANG)
    assert body is not None and json.loads(body)["input_ids"] == ids
    assert turns > 10


async def test_ids_of_another_prompt_do_not_go_along() -> None:
    """Of a prompt that became exact after the ids of another one were written, or for which none were."""
    request = chat()
    assert body_with_ids(request, PROMPT, VLLM) is None
    await write_ids(request, replace_ids(PROMPT, [5]))
    assert body_with_ids(request, PROMPT, VLLM) is None
