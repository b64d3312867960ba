"""Answers, streamed and whole: what is cached, what is counted, and what happens when the client leaves."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.engines import EngineThread, quick_profile

TEXT = "All that is said here is said again and again, so that it fills some blocks. " * 10


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 4, **more}


def events(answer: httpx.Response) -> list[Any]:
    """The frames' data, without the end mark."""
    frames = [frame.removeprefix("data: ") for frame in answer.text.split("\n\n") if frame]
    assert frames[-1] == "[DONE]"
    return [json.loads(frame) for frame in frames[:-1]]


def test_a_chat_stream_has_vllm_s_frames(client: httpx.Client) -> None:
    body = chat(TEXT, stream=True, stream_options={"include_usage": True})
    answer = client.post("/v1/chat/completions", json=body, headers={"x-request-id": "r1"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    role, *words, usage = events(answer)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [word["choices"][0]["finish_reason"] for word in words] == [None, None, None, "length"]
    assert len({frame["id"] for frame in (role, *words, usage)} | {"chatcmpl-r1"}) == 1
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 4
    whole = client.post("/v1/chat/completions", json=chat(TEXT)).json()
    assert (
        "".join(word["choices"][0]["delta"]["content"] for word in words) == whole["choices"][0]["message"]["content"]
    )


def test_usage_is_sent_in_streams_only_when_asked_for(client: httpx.Client) -> None:
    frames = events(client.post("/v1/chat/completions", json=chat(TEXT, stream=True)))
    assert all(frame["choices"] and "usage" not in frame for frame in frames)


def test_the_second_time_all_but_the_last_block_is_cached(client: httpx.Client) -> None:
    first, second = (client.post("/v1/chat/completions", json=chat(TEXT)).json()["usage"] for _ in range(2))
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert second["prompt_tokens_details"]["cached_tokens"] == (first["prompt_tokens"] - 1) // 16 * 16


def test_the_answer_sent_back_is_cached_too(client: httpx.Client) -> None:
    body = chat(TEXT, max_tokens=64)
    first = client.post("/v1/chat/completions", json=body).json()
    body["messages"] += [first["choices"][0]["message"], {"role": "user", "content": "go on"}]
    usage = client.post("/v1/chat/completions", json=body).json()["usage"]
    known = first["usage"]["prompt_tokens"] + 63
    assert usage["prompt_tokens_details"]["cached_tokens"] == known // 16 * 16


@pytest.mark.parametrize("change", [{"model": "adapter"}, {"cache_salt": "tenant"}, {"prompt_logprobs": 1}])
def test_another_identity_shares_nothing(client: httpx.Client, change: dict[str, Any]) -> None:
    client.post("/v1/chat/completions", json=chat(TEXT))
    usage = client.post("/v1/chat/completions", json=chat(TEXT, **change)).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize(
    ("prompt", "count"), [("abcdefgh", 1), (["abcdefgh", "ijkl"], 2), ([1, 2, 3], 1), ([[1, 2, 3], [4]], 2)]
)
def test_completions_take_all_four_shapes(client: httpx.Client, prompt: Any, count: int) -> None:
    answer = client.post("/v1/completions", json={"model": "m", "prompt": prompt, "max_tokens": 2, "n": 2}).json()
    assert [choice["index"] for choice in answer["choices"]] == list(range(2 * count))
    assert (
        answer["usage"]["prompt_tokens"]
        == {1: 2 if prompt == "abcdefgh" else 3, 2: 3 if "ijkl" in prompt else 4}[count]
    )
    assert answer["usage"]["completion_tokens"] == 4 * count
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts[0] != texts[1]  # two answers to one prompt differ


@pytest.mark.parametrize("prompt", [None, [], [[]], "", [1, "a"], {"a": 1}, [-1], [2**40]])
def test_other_prompts_are_refused(client: httpx.Client, prompt: Any) -> None:
    assert client.post("/v1/completions", json={"model": "m", "prompt": prompt}).status_code == 400


def test_token_ids_are_returned_on_request(client: httpx.Client) -> None:
    ids = list(range(40))
    body = {"model": "m", "prompt": ids, "max_tokens": 3, "return_token_ids": True}
    whole = client.post("/v1/completions", json=body).json()["choices"][0]
    assert (whole["prompt_token_ids"], len(whole["token_ids"])) == (ids, 3)
    frames = events(client.post("/v1/completions", json={**body, "stream": True}))
    assert frames[0]["choices"][0]["prompt_token_ids"] == ids
    assert [frame["choices"][0]["token_ids"][0] for frame in frames] == whole["token_ids"]
    streamed = events(client.post("/v1/chat/completions", json=chat("x", stream=True, return_token_ids=True)))
    assert len(streamed[0]["prompt_token_ids"]) > 0


def test_ids_may_stand_in_for_the_messages(client: httpx.Client) -> None:
    body = chat("ignored", kv_transfer_params={"prompt_token_ids": list(range(33))})
    assert client.post("/v1/chat/completions", json=body).json()["usage"]["prompt_tokens"] == 33


async def test_headers_come_before_prefill_and_the_first_chunk_after_it() -> None:
    with EngineThread(model="m", profile=quick_profile(prefill_rate=10.0)) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as client:
            body = chat("x" * 4000, stream=True)  # 1,000 tokens: 100 s of prefill
            async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                assert answer.status_code == 200
                await engine.settles(running=1)
        await engine.settles(running=0, aborted=1, departures=1)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_aborts_its_request_at_once(stream: bool) -> None:
    with EngineThread(model="m", profile=quick_profile(decode_s=0.5)) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as client:
            body = chat(TEXT, max_tokens=1000, stream=stream)
            asking = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await engine.settles(running=1)
            await cancelled(asking)
        state = await engine.settles(running=0, waiting=0, aborted=1, departures=1)
        assert state["free_blocks"] == state["blocks"]


async def test_a_waiting_request_can_leave_too() -> None:
    with EngineThread(model="m", profile=quick_profile(decode_s=0.5, max_running=1)) as engine:
        async with httpx.AsyncClient(base_url=engine.url) as client:
            body = chat(TEXT, max_tokens=1000)
            running = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await engine.settles(running=1)
            waiting = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await engine.settles(waiting=1)
            await cancelled(waiting)
            await engine.settles(running=1, waiting=0, aborted=1)
            await cancelled(running)
        await engine.settles(running=0, waiting=0, aborted=2)


async def cancelled(asking: asyncio.Task[httpx.Response]) -> None:
    """The client leaves."""
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_restart_loses_running_requests_and_the_cache(engine: EngineThread, client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat(TEXT))
    before = engine.state()
    engine.restart()
    after = engine.state()
    assert after["started_at"] > before["started_at"]
    assert after["queried_tokens"] == 0
    usage = client.post("/v1/chat/completions", json=chat(TEXT)).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0


def test_a_larger_batch_waits_for_memory_but_all_are_answered() -> None:
    profile = quick_profile(kv_tokens=2048)
    with EngineThread(model="m", profile=profile, speed=20.0) as engine, httpx.Client(base_url=engine.url) as client:
        prompts = [[index] * 600 for index in range(12)]
        answer = client.post("/v1/completions", json={"model": "m", "prompt": prompts, "max_tokens": 40}).json()
        assert len(answer["choices"]) == 12
        assert engine.state()["free_blocks"] == engine.state()["blocks"]
