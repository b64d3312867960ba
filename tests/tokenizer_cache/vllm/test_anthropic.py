"""Messages requests as chat requests. The expectations are those of a running vLLM 0.32."""

import json
from typing import Any

import pytest

from tests.tokenizer_cache.formats import JOINING, SYSTEM_FIRST
from tokenizer_cache.rules import NotExact
from tokenizer_cache.vllm.anthropic import chat_body
from tokenizer_cache.vllm.inputs import template_call
from tokenizer_cache.vllm.template import template_format

HEADER = "x-anthropic-billing-header: cch=1;"
USER = {"role": "user", "content": "hi"}


def block(kind: str = "text", **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def use(**fields: Any) -> dict[str, Any]:
    return block("tool_use", **{"id": "t1", "name": "f", "input": {"b": 1, "a": 2}, **fields})


def result(content: Any, call: str = "t1") -> dict[str, Any]:
    return block("tool_result", tool_use_id=call, content=content)


def turns(*messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chat_body({"messages": list(messages), **fields}, JOINING)["messages"]
    return found


SYSTEMS = [
    ("sys", ["sys"]),
    ("", []),
    (None, []),
    ([], []),
    ([block(text="a"), block(text="b", cache_control={})], ["ab"]),
    ([block(text=f"{HEADER}\nlost"), block(text="kept")], ["kept"]),
    ([block(text="")], []),
]


@pytest.mark.parametrize(("system", "expected"), SYSTEMS)
def test_system_blocks_are_joined_without_a_separator(system: Any, expected: list[str]) -> None:
    assert turns(USER, system=system) == [*({"role": "system", "content": text} for text in expected), USER]


def test_a_system_string_loses_its_header_line_in_chat() -> None:
    body = {"messages": [USER], "system": f"{HEADER}\nkept"}
    assert template_call("messages", body, JOINING).messages[0] == {"role": "system", "content": "kept"}


def test_later_system_messages_stay_in_place() -> None:
    later = {"role": "system", "content": [block(text=HEADER), block(text="a"), block(text="b")]}
    assert turns(USER, later, {"role": "system", "content": HEADER}, USER) == [
        USER,
        {"role": "system", "content": "ab"},
        USER,
    ]


def test_later_system_messages_go_to_the_front_where_the_template_rejects_them() -> None:
    later = {"role": "system", "content": "later"}
    found = chat_body({"messages": [USER, later, USER], "system": "first,"}, SYSTEM_FIRST)["messages"]
    assert found == [{"role": "system", "content": "first,later"}, USER, USER]


def test_results_come_before_the_text_of_their_message() -> None:
    content = [block(text="a"), result("one"), block(text="b"), result([block(text="two"), block(text="2")], "t2")]
    assert turns({"role": "user", "content": content}) == [
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": "two\n2"},
        {"role": "user", "content": [block(text="a"), block(text="b")]},
    ]


def test_a_message_of_results_alone_leaves_no_user_message() -> None:
    assert turns({"role": "user", "content": [result(None)]}) == [{"role": "tool", "tool_call_id": "t1", "content": ""}]
    assert turns({"role": "user", "content": []}) == []
    assert turns({"role": "user", "content": ""}) == [{"role": "user", "content": ""}]


def test_references_to_tools_follow_their_result() -> None:
    found = turns({"role": "user", "content": [result([block(text="a"), block("tool_reference", tool_name="f")])]})
    assert found[1]["content"] == [{"type": "tool_reference", "name": "f"}]


def test_an_assistant_turn() -> None:
    thoughts = [block("thinking", thinking="a", signature="s"), block("redacted_thinking", data="x")]
    content = [*thoughts, block("thinking", thinking="b"), block(text="text"), use(), use(id="t2", input=None)]
    (turn,) = turns({"role": "assistant", "content": content})
    assert turn["content"] == "text"
    assert turn["reasoning"] == "ab"
    calls = [(call["id"], call["function"]["arguments"]) for call in turn["tool_calls"]]
    assert calls == [("t1", {"b": 1, "a": 2}), ("t2", {})]


def test_an_assistant_without_text_has_no_content() -> None:
    assert turns({"role": "assistant", "content": [block(text="")]}) == [{"role": "assistant"}]
    assert "content" not in turns({"role": "assistant", "content": [use()]})[0]


def test_a_result_in_an_assistant_turn_is_printed() -> None:
    assert (
        turns({"role": "assistant", "content": [result([{"a": None}])]})[0]["content"] == "Tool result: [{'a': None}]"
    )


def test_tools_become_the_functions_that_vllm_prints() -> None:
    tools = [
        {"cache_control": {}, "input_schema": {"properties": {}}, "description": "d", "name": "f"},
        {"name": "g", "input_schema": {"type": "x"}, "strict": True, "defer_loading": True},
    ]
    found = template_call("messages", {"messages": [USER], "tools": tools}, JOINING).tools
    assert json.dumps(found) == (
        '[{"type": "function", "function": {"name": "f", "description": "d", '
        '"parameters": {"properties": {}, "type": "object"}}}, '
        '{"type": "function", "function": {"name": "g", "description": null, "parameters": {"type": "x"}, '
        '"strict": true, "defer_loading": true}}]'
    )
    assert template_call("messages", {"messages": [USER], "tools": []}, JOINING).tools == []


EFFORTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"thinking": {"type": "disabled"}}, {"enable_thinking": False}),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {}),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {"enable_thinking": True}),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, {"enable_thinking": False}),
    ({"thinking": {"type": "disabled"}, "chat_template_kwargs": {"enable_thinking": True}}, {"enable_thinking": True}),
    ({"reasoning_effort": "none", "documents": [], "add_generation_prompt": False}, {}),
]


@pytest.mark.parametrize(("fields", "kwargs"), EFFORTS)
def test_thinking_sets_the_effort_and_chat_fields_do_nothing(fields: dict[str, Any], kwargs: dict[str, Any]) -> None:
    found = template_call("messages", {"messages": [USER], **fields}, JOINING)
    assert (found.kwargs, found.add_generation_prompt) == (kwargs, True)


def test_disabled_thinking_is_low_effort_where_the_template_always_thinks() -> None:
    thinking = template_format("{{ messages }}{{ 'max' if reasoning_effort not in ['low', 'high'] }}")
    found = template_call("messages", {"messages": [USER], "thinking": {"type": "disabled"}}, thinking)
    assert found.kwargs == {"reasoning_effort": "low"}


def user(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (user(block("image", source={})), "media"),
    (user(result([block("image", source={})])), "media"),
    (user(block("document", source={})), "item"),
    (user(block("server_tool_use", id="x")), "item"),
    (user(use(id=None)), "invalid"),
    (user(block(text=5)), "invalid"),
    (user("hi"), "item"),
    ({"messages": [{"role": "system", "content": [block("tool_addition", tool={})]}]}, "item"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "invalid"),
    ({"messages": [{"role": "user", "content": None}]}, "invalid"),
    ({"messages": None}, "invalid"),
    ({"messages": [USER], "system": 5}, "invalid"),
    ({"messages": [USER], "tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tool"),
    ({"messages": [USER], "kv_transfer_params": {"prompt_token_ids": [1]}}, "token_ids"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_what_cannot_be_known_is_not_exact(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotExact) as caught:
        template_call("messages", body, JOINING)
    assert caught.value.reason == reason
