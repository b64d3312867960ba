"""SGLang workers behind the router: their prompts are known exactly, by SGLang's rules and not vLLM's."""

from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from tests.engines import EngineThread
from tests.routers import MODEL, RunningRouter, running_router
from tests.tokenizer_cache.small import CHATML

CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("read", "write")
]
PARTS = [{"type": "text", "text": "read the file"}, {"type": "text", "text": "and write a test"}]


@pytest.fixture
def tokenizer(tmp_path: Path) -> str:
    """Whose vocabulary has the words that the emulated engine answers with."""
    raw = tokenizers.Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(["Here the of and to in is that for it as was with be by on not he from"] * 50, trainer)
    raw.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "chat_template.jinja").write_text(CHATML)
    return str(tmp_path / "tokenizer.json")


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """Requests in which the two engines differ, each twice."""
    named = {"type": "function", "function": {"name": "write"}}
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "You code. " * 60},
        {"role": "user", "content": PARTS},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": PARTS},
    ]
    chats: list[dict[str, Any]] = [
        {"messages": turns, "tools": TOOLS},
        {"messages": turns, "tools": TOOLS, "tool_choice": "none"},
        {"messages": turns, "tools": TOOLS, "tool_choice": named},
        {"messages": [*turns, {"role": "assistant", "content": "half an"}]},
        {"messages": [*turns, {"role": "assistant", "content": "half an"}], "continue_final_message": True},
    ]
    anthropic = {
        "system": "You code.",
        "messages": [{"role": "user", "content": PARTS}],
        "thinking": {"type": "disabled"},
    }
    asked: list[tuple[str, dict[str, Any]]] = [("/v1/chat/completions", chat) for chat in chats]
    asked += [("/v1/messages", anthropic), ("/v1/responses", {"input": "read", "instructions": "write"})]
    return [pair for pair in asked for _ in range(2)]


async def post(router: RunningRouter, path: str, body: dict[str, Any]) -> None:
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    reply = await router.client.post(path, json={"model": MODEL, limit: 4, **body})
    assert reply.status_code == 200, reply.text
    await router.settles()


async def test_their_prompts_are_exact(tokenizer: str) -> None:
    with EngineThread(model=MODEL, kind="sglang", tokenizer=tokenizer, speed=20.0) as engine:
        async with running_router(engine.url, tokenizer=tokenizer) as router:
            while router.parts.prompts.encoders.loading:
                await router.settles()
            for path, body in bodies():
                await post(router, path, body)
            metrics = await router.metrics()
            (exact,) = router.parts.prompts.encoders.exact
    assert exact.counters.inexact == {}
    assert not any(value for name, value in metrics.items() if "token_mismatches" in name)
    assert _sum(metrics, "warmroute_prompts_total") == len(bodies())
    assert metrics['warmroute_prompts_total{source="conversation"}'] >= 3
    predicted, cached = (
        _sum(metrics, f"warmroute_{name}_total") for name in ("predicted_cached_tokens", "cached_tokens")
    )
    assert 0 < 0.9 * cached <= predicted <= cached


def _sum(metrics: dict[str, float], name: str) -> float:
    return sum(value for label, value in metrics.items() if label.startswith(name))
