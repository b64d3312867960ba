"""What separates prompts, and what must not."""

import json
from typing import Any

import msgspec
import pytest

from tokenizer_cache.identity import boundary_keys, context_key, scope_key, unmarked
from tokenizer_cache.request import parse

USER = {"role": "user", "content": "hi"}


def keys(api: str = "chat", **fields: Any) -> tuple[bytes, bytes]:
    body = {"model": "m", "messages": [USER], "input": "x", "prompt": "x", **fields}
    read = parse(api, json.dumps(body).encode()).fields
    scope = scope_key("vllm", read)
    return scope, context_key(scope, read)


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


def items(*messages: Any) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps(message).encode()) for message in messages]


def test_boundaries_are_keyed_by_all_that_comes_before() -> None:
    one = boundary_keys(b"c", items("a", "b", "c"))
    other = boundary_keys(b"c", items("a", "x", "c"))
    assert len(one) == 4
    assert one[:2] == other[:2]
    assert not set(one[2:]) & set(other[2:])
    assert not set(one) & set(boundary_keys(b"d", items("a", "b", "c")))


def test_moving_cache_marks_do_not_count() -> None:
    def turn(marked: bool) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": "hi"}
        return {"role": "user", "content": [block | ({"cache_control": {"type": "ephemeral"}} if marked else {})]}

    assert list(map(bytes, unmarked(items(turn(True))))) == list(map(bytes, items(turn(False))))
    assert list(map(bytes, unmarked(items(turn(False))))) == list(map(bytes, items(turn(False))))


def test_a_tool_input_of_the_same_name_is_left_alone() -> None:
    call = {
        "role": "assistant",
        "content": [{"type": "tool_use", "input": {"a": 1, "cache_control": {"type": "ephemeral"}}}],
    }
    quoted = {"role": "user", "content": json.dumps({"a": 1, "cache_control": {"type": "ephemeral"}})}
    assert list(map(bytes, unmarked(items(call, quoted)))) == list(map(bytes, items(call, quoted)))
