"""Responses requests as chat requests. The expectations are those of a running vLLM 0.32."""

import json
from typing import Any

import pytest

from tests.tokenizer_cache.formats import JOINING, JOINS
from tokenizer_cache.rules import NotExact, TemplateCall
from tokenizer_cache.vllm.inputs import template_call
from tokenizer_cache.vllm.responses import chat_messages
from tokenizer_cache.vllm.template import template_format

USER = {"role": "user", "content": "hi"}
THOUGHT = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said"}]}
CALL = {
    "type": "function_call",
    "name": "f",
    "arguments": '{"b": 1}',
    "call_id": "c1",
    "id": "fc_1",
    "status": "completed",
}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "res"}


def call(asked: Any = "hi", **fields: Any) -> TemplateCall:
    return template_call("responses", {"model": "m", "input": asked, **fields}, JOINING)


def test_a_string_is_the_users_message_and_special_tokens_are_added() -> None:
    assert call() == TemplateCall([USER], None, {}, True, False, True)
    assert call(instructions="do").messages == [{"role": "system", "content": "do"}, USER]
    assert call(instructions="").messages == [USER]


def test_input_messages() -> None:
    wrapped = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}], "id": "m"}
    named = {"role": "user", "content": "hi", "name": "bob"}
    assert call([wrapped, named]).messages == [USER, named]
    assert call([USER, {"role": "developer", "content": "d"}]).messages[0] == {"role": "system", "content": "d"}


def test_reasoning_text_and_calls_of_a_turn_become_one_message() -> None:
    (turn, result) = chat_messages([THOUGHT, SAID, CALL, {**CALL, "call_id": "c2"}, RESULT])
    assert (turn["role"], turn["reasoning"], turn["content"]) == ("assistant", "why", "said")
    assert [made["id"] for made in turn["tool_calls"]] == ["c1", "c2"]
    assert result == {"role": "tool", "content": "res", "tool_call_id": "c1"}


def test_a_field_that_is_taken_begins_a_new_message() -> None:
    assert [turn.get("content") for turn in chat_messages([SAID, SAID])] == ["said", "said"]
    assert [turn.get("content") for turn in chat_messages([{**SAID, "content": ""}, SAID])] == ["", "said"]
    assert len(chat_messages([THOUGHT, THOUGHT])) == 2
    assert len(chat_messages([SAID, THOUGHT])) == 1
    assert len(chat_messages([CALL, RESULT, CALL])) == 3


def test_calls_print_their_name_first() -> None:
    (turn,) = call([CALL]).messages
    assert json.dumps(turn["tool_calls"]) == (
        '[{"id": "c1", "function": {"name": "f", "arguments": {"b": 1}}, "type": "function"}]'
    )


def test_names_and_inputs_of_other_calls() -> None:
    custom = {"type": "custom_tool_call", "name": "patch", "call_id": "c1", "input": 'é "x"\n'}
    (turn,) = call([{**CALL, "namespace": "ns"}, custom, {**custom, "input": None}]).messages
    functions = [made["function"] for made in turn["tool_calls"]]
    assert functions == [
        {"name": "ns__f", "arguments": {"b": 1}},
        {"name": "patch", "arguments": {"input": 'é "x"\n'}},
        {"name": "patch", "arguments": {"input": ""}},
    ]


def test_only_the_first_part_of_an_assistants_message_counts() -> None:
    parts = [{"type": "output_text", "text": "one"}, {"type": "output_text", "text": "two"}]
    assert chat_messages([{**SAID, "content": parts}]) == [{"role": "assistant", "content": "one"}]
    assert chat_messages([{"role": "assistant", "content": "one"}]) == [{"role": "assistant", "content": "one"}]


REASONING = [
    ({"summary": [{"text": "short"}]}, "short"),
    ({"summary": [{"text": "short"}], "content": [{"text": "long"}, {"text": "more"}]}, "long"),
    ({"summary": [], "content": None, "encrypted_content": None}, ""),
]


@pytest.mark.parametrize(("fields", "expected"), REASONING)
def test_reasoning_is_its_first_content_or_its_summary(fields: dict[str, Any], expected: str) -> None:
    assert chat_messages([{"type": "reasoning", **fields}]) == [{"role": "assistant", "reasoning": expected}]


def test_results_may_be_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert call([CALL, {**RESULT, "output": parts}]).messages[1]["content"] == "a\nb"


CONTINUED = [
    ({**SAID, "status": "in_progress"}, True),
    ({**SAID, "status": "incomplete"}, True),
    ({**THOUGHT, "status": "incomplete"}, True),
    ({**USER, "status": "in_progress"}, True),
    ({**SAID, "status": "completed"}, False),
    ({**CALL, "status": "in_progress"}, False),
    (SAID, False),
]


@pytest.mark.parametrize(("last", "continued"), CONTINUED)
def test_an_unfinished_last_message_is_continued(last: dict[str, Any], continued: bool) -> None:
    found = call([USER, last])
    assert (found.continue_final_message, found.add_generation_prompt) == (continued, not continued)
    assert not call([last, USER]).continue_final_message


def test_tools_become_the_functions_that_vllm_prints() -> None:
    tools = [
        {"type": "function", "strict": False, "name": "f", "parameters": {"b": 1}, "output_schema": {}},
        {"type": "web_search"},
        {"type": "custom", "name": "patch", "description": "d", "defer_loading": True},
        {
            "type": "namespace",
            "name": "ns",
            "tools": [{"type": "function", "name": "g"}, {"type": "custom", "name": "h"}],
        },
    ]
    found = call(tools=tools, tool_choice="none").tools
    assert found is not None
    assert json.dumps(found[0]) == (
        '{"type": "function", "function": {"name": "f", "description": null, "parameters": {"b": 1}, "strict": false}}'
    )
    assert [tool["function"]["name"] for tool in found] == ["f", "patch", "ns__g"]
    assert list(found[1]["function"]["parameters"]) == ["type", "properties", "required", "additionalProperties"]
    assert call(tools=[]).tools is None
    assert call(tools=[{"type": "web_search"}]).tools == []


def test_effort_sets_thinking_and_chat_fields_do_nothing() -> None:
    assert call(reasoning={"effort": "none"}).kwargs == {"enable_thinking": False}
    assert call(reasoning={"effort": "low", "summary": "auto"}).kwargs == {"enable_thinking": True}
    assert call(reasoning={"effort": None}, reasoning_effort="low", add_generation_prompt=False).kwargs == {}


def test_null_template_arguments_are_handed_on_by_a_server_without_defaults() -> None:
    asked = {"chat_template_kwargs": {"color": None}}
    assert call(**asked).kwargs == {"color": None}
    served = template_format(JOINS, {}, {"color": "red"})
    assert template_call("responses", {"input": "hi", **asked}, served).kwargs == {"color": "red"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "r"}, "stored"),
    ({"prompt": {"id": "p"}}, "stored"),
    ({"truncation": "auto"}, "truncation"),
    ({"truncation": None}, "truncation"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, "item"),
    ({"input": [{"type": "web_search_call", "id": "x"}]}, "item"),
    ({"input": [{"type": "message", "content": "x"}]}, "item"),
    ({"input": [{**THOUGHT, "encrypted_content": "x"}]}, "invalid"),
    ({"input": [{**SAID, "content": []}]}, "invalid"),
    ({"input": [{**SAID, "content": [{"type": "refusal", "refusal": "no"}]}]}, "invalid"),
    ({"input": [{**CALL, "arguments": {}}]}, "invalid"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]}, "media"),
    ({"input": [{**RESULT, "output": [{"type": "input_image", "image_url": "u"}]}]}, "media"),
    ({"input": []}, "invalid"),
    ({"input": None}, "invalid"),
    ({"input": ["hi"]}, "invalid"),
    ({"kv_transfer_params": {"prompt_token_ids": [1]}}, "token_ids"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_cannot_be_known_is_not_exact(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotExact) as caught:
        call(**{"asked": fields.get("input", "hi"), **{key: fields[key] for key in fields if key != "input"}})
    assert caught.value.reason == reason
