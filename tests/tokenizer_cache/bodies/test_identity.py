"""What separates prompts, and what must not."""

import json
from typing import Any

import pytest

from tokenizer_cache.bodies.identity import context_key, scope_key
from tokenizer_cache.bodies.request import parse

USER = {"role": "user", "content": "hi"}


def keys(api: str = "chat", engine: str = "vllm", **fields: Any) -> tuple[bytes, bytes]:
    body = {"model": "m", "messages": [USER], "input": "x", "prompt": "x", **fields}
    read = parse(api, json.dumps(body).encode()).fields
    scope = scope_key("vllm", read)
    return scope, context_key(scope, read, engine)


@pytest.mark.parametrize("field", [{"model": "n"}, {"cache_salt": "s"}, {"lora_path": "l"}, {"extra_key": "e"}])
def test_what_separates_caches_is_in_the_scope(field: dict[str, Any]) -> None:
    assert keys(**field)[0] != keys()[0]


@pytest.mark.parametrize(
    "field",
    [
        {"tools": [{"type": "function"}]},
        {"tool_choice": "none"},
        {"chat_template": "x"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"add_generation_prompt": False},
        {"continue_final_message": True},
        {"documents": [{"text": "x"}]},
        {"reasoning_effort": "low"},
        {"add_special_tokens": True},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_changes_the_rendering_is_in_the_context_only(field: dict[str, Any]) -> None:
    assert keys(**field)[0] == keys()[0]
    assert keys(**field)[1] != keys()[1]


@pytest.mark.parametrize(
    "field", [{"user": "u"}, {"max_tokens": 3}, {"stream": True}, {"temperature": 1}, {"seed": 1}, {"logprobs": True}]
)
def test_what_changes_no_prompt_is_in_neither(field: dict[str, Any]) -> None:
    assert keys(**field) == keys()


def test_the_same_value_in_another_field_is_another_context() -> None:
    assert keys(tool_choice="low")[1] != keys(reasoning_effort="low")[1]


def test_apis_and_formats_are_apart() -> None:
    assert len({keys(api)[1] for api in ("chat", "messages", "responses", "completions")}) == 4
    read = parse("chat", json.dumps({"model": "m", "messages": [USER]}).encode()).fields
    assert scope_key("vllm", read) != scope_key("sglang", read)


def test_a_billing_header_does_not_separate_conversations() -> None:
    def context(nonce: str, text: str = "You code.") -> bytes:
        header = {"type": "text", "text": f"x-anthropic-billing-header: {nonce}"}
        return keys("messages", system=[header, {"type": "text", "text": text}])[1]

    assert context("cc_version=1; cch=abc") == context("cc_version=1; cch=def")
    assert context("a") != context("a", "You cook.")


def test_only_vllm_drops_the_billing_block_and_only_as_a_whole() -> None:
    def context(engine: str, system: Any) -> bytes:
        return keys("messages", engine, system=system)[1]

    def blocks(nonce: str) -> list[Any]:
        return [{"type": "text", "text": f"x-anthropic-billing-header: {nonce}"}, {"type": "text", "text": "You code."}]

    assert context("sglang", blocks("a")) != context("sglang", blocks("b"))
    assert context("", blocks("a")) != context("", blocks("b"))
    for before in (" ", '"', "say "):
        some = [[{"type": "text", "text": f"{before}x-anthropic-billing-header: {nonce}"}] for nonce in "ab"]
        assert context("vllm", some[0]) != context("vllm", some[1])


def test_null_is_not_absent() -> None:
    assert keys(add_generation_prompt=None)[1] != keys()[1]


@pytest.mark.parametrize(("api", "field"), [("responses", "truncation"), ("chat", "reasoning")])
def test_what_the_rules_read_is_in_the_context(api: str, field: str) -> None:
    assert keys(api, **{field: "auto"})[1] != keys(api)[1]
