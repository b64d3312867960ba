"""A real vLLM tells the tokens of prompts that the router cannot make: each turn is told, and the next one known.

Skipped unless WARMROUTE_REAL_VLLM is set; the server has to run with --enable-scale-out for /render.
"""

import os
from typing import Any

import pytest

from tests.real.sessions import as_messages, as_responses
from tests.routers import RunningRouter, running_router

URL = os.environ.get("WARMROUTE_REAL_VLLM", "").partition(",")[0]
MODEL = os.environ.get("WARMROUTE_REAL_MODEL", "tiny-qwen3")
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
TURNS = 6

pytestmark = [pytest.mark.skipif(not URL, reason="WARMROUTE_REAL_VLLM is not set"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("api", PATHS)
async def test_turns_are_told_and_then_known(api: str) -> None:
    async with running_router(URL, tokenizer="package:no_such_tokenizer") as router:
        metrics = await _converse(router, api)
    told = metrics['warmroute_token_asks_total{outcome="told"}']
    predicted = _sum(metrics, "warmroute_predicted_cached_tokens_total")
    cached = _sum(metrics, "warmroute_cached_tokens_total")
    print(f"\n{api}: told {told:.0f} of {TURNS}, predicted {predicted:.0f} tokens cached, reported {cached:.0f}")
    assert told == TURNS
    assert _sum(metrics, "warmroute_prompt_token_mismatches_total") == 0
    if api == "chat":
        assert 0.8 * cached <= predicted <= cached + 128 * TURNS


async def _converse(router: RunningRouter, api: str) -> dict[str, float]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": f"You code, by {api}. " * 60}]
    for number in range(TURNS):
        messages.append({"role": "user", "content": f"turn {number} " * 60})
        chat: dict[str, Any] = {"messages": messages}
        body = {"messages": as_messages, "responses": as_responses}.get(api, lambda same: same)(chat)
        limit = "max_output_tokens" if api == "responses" else "max_tokens"
        reply = await router.client.post(PATHS[api], json={"model": MODEL, **body, limit: 2}, timeout=120)
        assert reply.status_code == 200, reply.text
        messages.append({"role": "assistant", "content": f"answer {number}"})
        await router.parts.prompts.asker.idle()
        await router.settles()
    return await router.metrics()


def _sum(metrics: dict[str, float], name: str) -> float:
    return sum(value for label, value in metrics.items() if label.startswith(name))
