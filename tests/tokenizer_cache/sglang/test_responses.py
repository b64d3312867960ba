"""Responses requests as SGLang's chat requests. Whole prompts are tested against recordings in `test_inputs`."""

from typing import Any

import pytest

from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.sglang.responses import chat_body
from tokenizer_cache.sglang.template import SglangFormat, sglang_format

INLINE = sglang_format("{% for m in messages %}{{ m.content }}{% endfor %}", {}, Served(engine="sglang"))
FIRST = sglang_format("{{ messages[0].content }}", {}, Served(engine="sglang"))
FUNCTION = {"type": "function", "name": "f"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}


def body(asked: Any = "hi", template: SglangFormat = INLINE, **fields: Any) -> dict[str, Any]:
    return chat_body({"input": asked, **fields}, template)


def turns(*items: Any, template: SglangFormat = INLINE) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(list(items), template)["messages"]
    return found


def said(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def test_a_string_is_the_user_s_and_instructions_come_first() -> None:
    assert body(instructions="s")["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]


def test_a_message_loses_what_the_server_added_and_nulls() -> None:
    parts = [{"type": "output_text", "text": "a"}, {"type": "input_image"}]
    assert turns(said(parts, type="message", id="i", status="completed", name=None)) == [
        said([{"type": "text", "text": "a"}, {"type": "input_image"}])
    ]


def test_neighbouring_assistant_items_are_one_message() -> None:
    thought = {"type": "reasoning", "summary": [{"text": "t"}]}
    (turn,) = turns(thought, thought, said("a"), said("b"), CALL, CALL)
    assert (turn["reasoning_content"], turn["content"], len(turn["tool_calls"])) == ("t\nt", "a\n\nb", 2)
    (mixed,) = turns(said("a"), said([{"type": "output_text", "text": "b"}]))
    assert mixed["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def test_phases_keep_messages_apart_but_not_their_thoughts() -> None:
    assert len(turns(said("a", phase="commentary"), said("b", phase="final"))) == 2
    (turn,) = turns({"type": "reasoning", "content": [{"text": "t"}]}, said("a", phase="final"))
    assert turn == {"role": "assistant", "reasoning_content": "t", "content": "a", "phase": "final"}


def test_reasoning_without_text_is_dropped_and_hidden_reasoning_is_not_exact() -> None:
    assert turns({"type": "reasoning", "summary": []}, said("a")) == [said("a")]
    with pytest.raises(NotExact, match="item"):
        turns({"type": "reasoning", "encrypted_content": "x"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [('{"a": 1}', '{"a": 1}'), ({"é": 1}, '{"é": 1}'), ("[1]", "{}"), ("{", "{}"), ("", "{}"), (None, "{}")],
)
def test_arguments_that_are_no_object_count_as_an_empty_one(arguments: Any, expected: str) -> None:
    (turn,) = turns({**CALL, "arguments": arguments})
    assert turn["tool_calls"] == [{"id": "c", "type": "function", "function": {"name": "f", "arguments": expected}}]


def test_a_custom_call_and_outputs() -> None:
    (call,) = turns({"type": "custom_tool_call", "id": "i", "name": "f", "input": "x"})
    assert call["tool_calls"][0] == {
        "id": "i",
        "type": "function",
        "function": {"name": "f", "arguments": '{"input": "x"}'},
    }
    parts = [{"text": "a"}, {"text": "b"}]
    outputs = [
        {"type": f"{kind}_output", "call_id": "c", "output": parts} for kind in ("function_call", "custom_tool_call")
    ]
    assert turns(*outputs) == [{"role": "tool", "tool_call_id": "c", "content": "ab"}] * 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a", "Developer instructions:\na"),
        ([{"type": "input_text", "text": "a"}], [{"type": "text", "text": "Developer instructions:\na"}]),
        ([{"type": "x"}], [{"type": "text", "text": "Developer instructions:"}, {"type": "x"}]),
    ],
)
def test_a_developer_is_a_system_with_a_label(content: Any, expected: Any) -> None:
    assert turns({"role": "developer", "content": content}) == [{"role": "system", "content": expected}]


def test_system_messages_are_merged_where_the_template_shows_only_the_first() -> None:
    items = [{"role": "user", "content": "u"}, *({"role": "system", "content": text} for text in "ab")]
    assert turns(*items) == items
    assert turns(*items, template=FIRST) == [{"role": "system", "content": "a\n\nb"}, items[0]]
    assert turns(items[0], template=FIRST) == [items[0]]


def test_functions_and_custom_tools_are_shown_and_others_skipped() -> None:
    grammar = {"type": "grammar", "definition": "g"}
    custom = {"type": "custom", "name": "c", "description": "d", "format": grammar}
    tools = body(tools=[{"type": "web_search"}, FUNCTION, custom])["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["f", "c"]
    assert tools[0]["function"]["strict"] is False
    assert tools[1]["function"]["description"] == "d\n\nThe payload must conform to this lark grammar:\ng"
    assert tools[1]["function"]["parameters"]["required"] == ["input"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        (FUNCTION, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "allowed_tools", "name": "f"}, "auto"),
    ],
)
def test_choices_in_the_words_of_chat(choice: Any, expected: Any) -> None:
    assert body(tools=[FUNCTION], tool_choice=choice)["tool_choice"] == expected
    assert body(tool_choice=choice)["tool_choice"] == "none"


def test_effort_switches_thinking_off_unless_the_client_asks_otherwise() -> None:
    off = body(reasoning={"effort": "none"}, chat_template_kwargs={"thinking": True})
    assert off["chat_template_kwargs"] == {"thinking": True, "enable_thinking": False}
    assert (body(reasoning={})["reasoning_effort"], body()["reasoning_effort"]) == ("medium", None)
    assert body(reasoning={"effort": "low"}, chat_template_kwargs={"a": 1})["chat_template_kwargs"] == {"a": 1}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"previous_response_id": "r"}, "stored"),
        ({"input": None}, "invalid"),
        ({"input": ["a"]}, "invalid"),
        ({"input": [{"type": "computer_call"}]}, "item"),
        ({"input": [{"type": "function_call_output", "output": [{"text": 1}]}]}, "invalid"),
        ({"input": [{"type": "reasoning", "summary": "t"}]}, "invalid"),
        ({"tools": {}}, "invalid"),
    ],
)
def test_what_is_refused_or_not_known_here_is_not_exact(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotExact, match=reason):
        chat_body({"input": "hi", **wrong}, INLINE)
