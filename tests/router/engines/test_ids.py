"""Ids of a prompt from its worker: by which endpoint, and what of its answer is believed."""

import json
from typing import Any

import pytest

from router.engines.answers import AnswerFault, WorkerAnswerError
from router.engines.ids import IdsEndpoint, answers, ask, is_absent
from tests.router.fake_worker import Answer, FakeWorker, as_json, client
from tokenizer_cache.bodies.request import parse

MESSAGES: dict[str, Any] = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
RENDER = "/v1/chat/completions/render"


def request(api: str = "chat", **fields: Any) -> Any:
    return parse(api, json.dumps({**MESSAGES, "input": "hi", "prompt": "hi", **fields}).encode())


@pytest.mark.parametrize("api", ["chat", "messages", "responses"])
def test_render_gives_ids_of_every_chat_api(api: str) -> None:
    assert answers("vllm", "render", request(api))
    assert not answers("vllm", "render", request("completions"))


@pytest.mark.parametrize("field", ["reasoning_effort", "documents", "truncate_prompt_tokens", "kv_transfer_params"])
def test_vllm_s_tokenize_is_not_asked_for_what_it_does_not_read(field: str) -> None:
    values: dict[str, Any] = {"reasoning_effort": "low", "documents": [{"a": "b"}]}
    given = request(**{field: values.get(field, 3)})
    assert not answers("vllm", "tokenize", given)
    assert answers("vllm", "render", given)
    assert answers("sglang", "tokenize", given)
    assert answers("vllm", "tokenize", request())


def test_tokenize_reads_chat_requests_only() -> None:
    assert not answers("sglang", "tokenize", request("messages"))
    assert not answers("sglang", "tokenize", request("responses"))


@pytest.mark.parametrize(
    ("endpoint", "path", "key"), [("render", RENDER, "token_ids"), ("tokenize", "/tokenize", "tokens")]
)
async def test_the_body_goes_as_it_came(endpoint: IdsEndpoint, path: str, key: str) -> None:
    asked = request()
    async with FakeWorker({path: as_json({"count": 2, key: [1, 2]})}) as worker:
        assert list(await ask(client(5.0), worker.url, endpoint, asked)) == [1, 2]
        assert worker.sent == [(path, bytes(asked.body))]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"token_ids": "no"},
        {"token_ids": [-1]},
        {"token_ids": [1 << 32]},
        {"token_ids": [1.5]},
        {"token_ids": [[1]]},
        [],
    ],
)
async def test_what_is_no_list_of_ids_is_a_bad_answer(answer: Any) -> None:
    async with FakeWorker({RENDER: as_json(answer)}) as worker:
        with pytest.raises(WorkerAnswerError) as refused:
            await ask(client(5.0), worker.url, "render", request())
    assert refused.value.fault is AnswerFault.CONTENT


async def test_a_prompt_has_no_more_tokens_than_bytes_and_a_template_s() -> None:
    asked = request()
    most = len(asked.body) + (1 << 16)
    async with FakeWorker({RENDER: as_json({"token_ids": [7] * most})}) as worker:
        assert len(await ask(client(5.0), worker.url, "render", asked)) == most
        worker.routes[RENDER] = as_json({"token_ids": [7] * (most + 1)})
        with pytest.raises(WorkerAnswerError, match="more token ids"):
            await ask(client(5.0), worker.url, "render", asked)


@pytest.mark.parametrize(("status", "absent"), [(403, True), (404, True), (405, True), (501, True), (500, False)])
async def test_an_endpoint_that_is_not_there(status: int, absent: bool) -> None:
    async with FakeWorker({RENDER: Answer(status=status)}) as worker:
        with pytest.raises(WorkerAnswerError) as refused:
            await ask(client(5.0), worker.url, "render", request())
    assert is_absent(refused.value) is absent
