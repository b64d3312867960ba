"""A model whose tokenizer cannot be loaded, behind the router: its workers tell the tokens of its prompts."""

from typing import Any

from tests.engines import EngineThread
from tests.routers import MODEL, RunningRouter, running_router

NOWHERE = "package:no_such_tokenizer"


async def turns(router: RunningRouter, count: int) -> list[dict[str, Any]]:
    """The usage reported of so many turns of one conversation, each sent when the last one's tokens are told."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You code. " * 100}]
    found = []
    for number in range(count):
        messages.append({"role": "user", "content": f"turn {number} " * 40})
        reply = await router.client.post(
            "/v1/chat/completions", json={"model": MODEL, "messages": messages, "max_tokens": 4}
        )
        assert reply.status_code == 200
        found.append(reply.json()["usage"])
        messages.append({"role": "assistant", "content": f"answer {number} " * 10})
        await router.settles()
        await router.parts.prompts.asker.idle()
    return found


async def test_later_turns_are_predicted_as_the_engine_reports_them() -> None:
    with EngineThread(model=MODEL) as one, EngineThread(model=MODEL) as other:
        async with running_router(one.url, other.url, tokenizer=NOWHERE) as router:
            usages = await turns(router, 6)
            metrics = await router.metrics()
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    predicted = sum(v for name, v in metrics.items() if name.startswith("warmroute_predicted_cached_tokens_total"))
    assert cached > 2000
    assert 0.8 * cached <= predicted <= cached
    assert metrics['warmroute_token_asks_total{outcome="told"}'] >= 4
    assert metrics['warmroute_prompts_total{source="worker"}'] >= 4
    assert not any(value for name, value in metrics.items() if "token_mismatches" in name)


async def test_switched_off_they_are_text() -> None:
    with EngineThread(model=MODEL) as engine:
        async with running_router(engine.url, tokenizer=NOWHERE, ask_workers=False) as router:
            await turns(router, 2)
            metrics = await router.metrics()
    assert metrics['warmroute_prompts_total{source="text"}'] == 2
    assert not any(value for name, value in metrics.items() if "token_asks" in name)
