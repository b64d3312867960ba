"""Chat messages as SGLang prints them. Whole prompts are tested against recordings in `test_inputs`."""

from typing import Any

import pytest

from tokenizer_cache.rules import NotExact
from tokenizer_cache.sglang.messages import normalise_messages, parse_arguments, tools_of

TEXTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
IMAGE = {"type": "image_url", "image_url": {"url": "x"}}


def shown(wants_parts: bool = False, **message: Any) -> dict[str, Any]:
    return normalise_messages([message], wants_parts)[0]


def tool(**function: Any) -> dict[str, Any]:
    found: dict[str, Any] = tools_of([{"type": "function", "function": {"name": "f", **function}}])[0]
    return found


def test_what_the_models_do_not_know_is_dropped() -> None:
    assert shown(role="user", content="a", name="n", more=1) == {"role": "user", "content": "a"}
    assert shown(role="assistant", content="a", name=None, prefix=True, more=1) == {
        "role": "assistant",
        "content": "a",
        "prefix": True,
    }
    assert shown(role="assistant", content=None) == {"role": "assistant", "content": ""}
    assert shown(role="Tool", content="a", tool_call_id="c")["role"] == "tool"


def test_content_stands_behind_the_role_and_parts_stand_last() -> None:
    named: dict[str, Any] = {"role": "assistant", "name": "n", "reasoning_content": "r"}
    assert list(shown(content="a", **named)) == ["role", "content", "name", "reasoning_content"]
    assert list(shown(True, content=TEXTS, **named)) == ["role", "name", "reasoning_content", "content"]


def test_parts_are_joined_for_a_template_of_strings_and_in_a_tool_s_answer() -> None:
    assert shown(role="user", content=TEXTS)["content"] == "a b"
    assert shown(True, role="user", content=TEXTS)["content"] == TEXTS
    assert shown(True, role="tool", content=TEXTS)["content"] == "a b"
    reference = {"type": "tool_reference", "name": "f"}
    assert shown(True, role="tool", content=[*TEXTS, reference])["content"] == [*TEXTS, reference]
    thought = {"type": "thinking", "thinking": "t"}
    assert shown(True, role="assistant", content=[thought, *TEXTS])["content"] == TEXTS


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("text", "invalid"),
        ({"content": "a"}, "invalid"),
        ({"role": "user"}, "invalid"),
        ({"role": "User", "content": 3}, "invalid"),
        ({"role": "robot", "content": "a"}, "invalid"),
        ({"role": "user", "content": {"a": 1}}, "invalid"),
        ({"role": "user", "content": [IMAGE]}, "media"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "media"),
        ({"role": "user", "content": [{"type": "thinking"}]}, "invalid"),
        ({"role": "user", "content": [{"type": "text"}]}, "invalid"),
        ({"role": "assistant", "content": "a", "name": 1}, "invalid"),
        ({"role": "assistant", "content": "a", "prefix": 1}, "invalid"),
        ({"role": "assistant", "content": "a", "tool_calls": {}}, "invalid"),
        ({"role": "assistant", "content": "a", "tool_calls": [{"type": "custom", "function": {}}]}, "invalid"),
        ({"role": "assistant", "content": "a", "tool_calls": [{"function": {}, "index": True}]}, "invalid"),
        ({"role": "assistant", "content": "a", "tool_calls": [{"function": {"arguments": []}}]}, "invalid"),
    ],
)
def test_what_sglang_refuses_or_cannot_be_counted_is_not_exact(message: Any, reason: str) -> None:
    with pytest.raises(NotExact, match=reason):
        normalise_messages([message], False)


def test_arguments_are_objects_in_an_assistant_s_calls_alone() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": '{"b": 1}'}, "more": 1}]
    expected = {"id": "c", "index": None, "type": "function", "function": {"name": "f", "arguments": {"b": 1}}}
    assert shown(role="assistant", content="", tool_calls=calls)["tool_calls"] == [expected]
    kept = shown(role="tool", content="", tool_calls=calls)["tool_calls"][0]["function"]["arguments"]
    assert kept == '{"b": 1}'


@pytest.mark.parametrize("text", [f'{{"a": {2**64 - 1}}}', f'{{"a": {-(2**63)}}}', '{"a": 1e308}', '{"a": "\\u00e9"}'])
def test_arguments_within_bounds_are_read(text: str) -> None:
    assert list(parse_arguments(text)) == ["a"]


@pytest.mark.parametrize("text", [f'{{"a": {2**64}}}', f'{{"a": {-(2**63) - 1}}}', '{"a": 1e309}', '{"a": "\\ud800"}'])
def test_arguments_beyond_them_are_not(text: str) -> None:
    with pytest.raises(NotExact, match="invalid"):
        parse_arguments(text)


def test_tools_keep_the_client_s_order_of_keys() -> None:
    assert list(tool(parameters={}, description="d")["function"]) == ["name", "parameters", "description"]
    assert tool()["function"] == {"name": "f", "description": None, "parameters": None}
    assert tool(strict=False)["function"]["strict"] is False


def test_a_tool_is_deferred_as_its_function_says_or_else_as_it_says_itself() -> None:
    outer = {"function": {"name": "f"}, "defer_loading": True}
    assert tools_of([outer])[0]["function"]["defer_loading"] is True
    inner = {"function": {"name": "f", "defer_loading": False}, "defer_loading": True}
    assert tools_of([inner])[0]["function"]["defer_loading"] is False
    assert "defer_loading" not in tool()["function"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ({"name": None}, "invalid"),
        ({"description": 1}, "invalid"),
        ({"strict": "yes"}, "invalid"),
        ({"parameters": {"type": "varchar"}}, "tool"),
        ({"parameters": {"anyOf": [{"type": ["string", "string"]}]}}, "tool"),
    ],
)
def test_tools_that_sglang_refuses_or_rewrites_are_not_exact(function: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotExact, match=reason):
        tool(**function)
