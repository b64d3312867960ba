"""Chat messages as a template gets them. The expectations are those of a running vLLM 0.32."""

import json
from typing import Any

import pytest

from tests.tokenizer_cache.formats import JOINING, LISTING
from tokenizer_cache.rules import NotExact
from tokenizer_cache.vllm.messages import merge_developer, normalise_messages
from tokenizer_cache.vllm.template import template_format

HEADER = "x-anthropic-billing-header: cch=1;"


def text(content: Any, role: str = "user") -> Any:
    return normalise_messages([{"role": role, "content": content}], JOINING)[0]["content"]


def parts(content: Any, role: str = "user") -> Any:
    return normalise_messages([{"role": role, "content": content}], LISTING)[0]["content"]


def part(value: str, **extra: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **extra}


def assistant(**fields: Any) -> dict[str, Any]:
    return normalise_messages([{"role": "assistant", **fields}], JOINING)[0]


def arguments(given: Any) -> Any:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": given}}
    return assistant(tool_calls=[call])["tool_calls"][0]["function"]["arguments"]


JOINED = [
    ("a\n", "a\n"),
    (None, ""),
    ([], ""),
    ([part("a"), part(""), part("b", cache_control={})], "a\nb"),
    (["a", {"type": "input_text", "text": "b"}, {"type": "output_text", "text": "c"}], "a\nb\nc"),
    ([{"type": "thinking", "thinking": "a"}, {"type": "refusal", "refusal": "b"}], "a\nb"),
    ([part("a"), {"type": "text", "text": None}, {"type": "refusal"}], "a"),
    ([{"type": "tool_reference", "name": "f"}], "f"),
]


@pytest.mark.parametrize(("content", "expected"), JOINED)
def test_parts_are_joined_with_newlines_and_empty_ones_are_left_out(content: Any, expected: str) -> None:
    assert text(content) == expected


LISTED = [
    ("a", [part("a")]),
    ("", [part("")]),
    (None, []),
    ([part("a", cache_control={"b": 1}), part("")], [part("a", cache_control={"b": 1}), part("")]),
    ([part("a", name="n", data="d", file=1, image_url=None)], [part("a")]),
    ([{"type": "thinking", "thinking": "t", "closed": True, "signature": "s"}], [part("t", signature="s")]),
    ([{"type": "tool_reference", "name": "f", "more": 1}], [{"type": "tool_reference", "name": "f"}]),
]


@pytest.mark.parametrize(("content", "expected"), LISTED)
def test_parts_stay_a_list_and_keep_unknown_keys(content: Any, expected: Any) -> None:
    assert parts(content) == expected


def test_results_of_tools_are_strings_in_both_formats() -> None:
    assert text([part("a"), part("b")], "tool") == "a\nb"
    assert parts([part("a", x=1), part(""), part("b")], "tool") == "a\n\nb"
    assert parts(None, "tool") == ""
    reference = {"type": "tool_reference", "name": "f"}
    assert parts([part("a"), reference], "tool") == [part("a"), reference]


REFUSED = [
    ([{"type": "image_url", "image_url": {"url": "u"}}], "media"),
    ([{"image_url": "u"}], "media"),
    ([{"type": "input_image", "image_url": "u"}], "media"),
    ([{"type": "prompt_embeds", "data": "x"}], "media"),
    ([part("a", uuid="u", image_url="u")], "media"),
    ([part("a", uuid="u")], "invalid"),
    ([{"text": "a"}], "invalid"),
    ([{"type": "weird", "text": "a"}], "invalid"),
    ([{"type": ["text"], "text": "a"}], "invalid"),
    ([{"type": "text", "text": 5}], "invalid"),
    ([{"type": "input_text"}], "invalid"),
    ([5], "invalid"),
    (5, "invalid"),
    ({}, "invalid"),
]


@pytest.mark.parametrize(("content", "reason"), REFUSED)
def test_what_is_not_plain_text_is_not_exact(content: Any, reason: str) -> None:
    for rendering in (text, parts):
        with pytest.raises(NotExact) as caught:
            rendering(content)
        assert caught.value.reason == reason


def test_the_billing_header_goes_from_system_messages_alone() -> None:
    assert text(HEADER, "system") == ""
    assert text(f"{HEADER}\nrest\nmore", "system") == "rest\nmore"
    assert text([part(HEADER), part("rest")], "system") == "rest"
    assert parts([part(f"{HEADER}\nrest", x=1), HEADER], "system") == [part("rest", x=1)]
    assert text([{"type": "input_text", "text": HEADER}], "system") == HEADER
    assert text(HEADER, "user") == text(HEADER, "developer") == HEADER


NO_OBJECTS: tuple[Any, ...] = ("", "null", "[1]", "42", '"text"', "{broken", '{"a":1}{', None, [], 5)
ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [
    ('{"b": 1, "a": {"c": 1.50}}', {"b": 1, "a": {"c": 1.5}}),
    ('{"a": 1, "a": 2}', {"a": 2}),
    ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    *((broken, {}) for broken in NO_OBJECTS),
    ({"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize(("given", "expected"), ARGUMENTS)
def test_arguments_become_an_object_whatever_they_were(given: Any, expected: dict[str, Any]) -> None:
    assert json.dumps(arguments(given)) == json.dumps(expected)


def test_keys_of_calls_come_in_the_order_of_the_request_model() -> None:
    function = {"x": 1, "name": "f", "arguments": "{}"}
    turn = assistant(tool_calls=[{"index": 0, "type": "function", "function": function, "id": "1"}])
    printed = '{"id": "1", "function": {"arguments": {}, "name": "f", "x": 1}, "type": "function", "index": 0}'
    assert json.dumps(turn["tool_calls"][0]) == printed


def test_calls_that_did_not_go_through_the_request_model_keep_their_order() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "{}"}, "type": "function"}
    turn = normalise_messages([{"role": "assistant", "tool_calls": [call]}], JOINING, typed=False)[0]
    assert json.dumps(turn["tool_calls"][0]["function"]) == '{"name": "f", "arguments": {}}'


@pytest.mark.parametrize("calls", [[], None])
def test_an_assistant_without_calls_has_no_such_key(calls: Any) -> None:
    assert assistant(content="a", tool_calls=calls) == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("calls", ["f", [5], [{}], [{"type": "custom", "custom": {"name": "f"}}], [{"function": 5}]])
def test_other_calls_are_not_exact(calls: Any) -> None:
    with pytest.raises(NotExact):
        assistant(tool_calls=calls)


REASONING = [
    ({"reasoning": "r"}, "r"),
    ({"reasoning_content": "c"}, "c"),
    ({"reasoning": "r", "reasoning_content": "c"}, "r"),
    ({"reasoning": None, "reasoning_content": "c"}, "c"),
    ({"reasoning": "", "reasoning_content": "c"}, ""),
]


@pytest.mark.parametrize(("fields", "expected"), REASONING)
def test_reasoning_has_two_names(fields: dict[str, Any], expected: str) -> None:
    turn = assistant(content="a", **fields)
    assert turn == {"role": "assistant", "content": "a", "reasoning": expected, "reasoning_content": expected}


def test_other_keys_are_dropped_and_names_are_kept_for_every_role() -> None:
    given = {"role": "user", "content": "a", "name": "n", "task": "t", "reasoning": "r", "tool_call_id": "1", "x": 1}
    assert normalise_messages([given], JOINING) == [{"role": "user", "content": "a", "name": "n", "task": "t"}]
    tool: dict[str, Any] = {"role": "tool", "content": "a", "name": None, "tool_call_id": "1", "tool_calls": []}
    assert normalise_messages([tool], JOINING) == [{"role": "tool", "content": "a", "tool_call_id": "1"}]


@pytest.mark.parametrize("message", [{"content": "a"}, {"role": 5, "content": "a"}, "a", None])
def test_what_is_no_message_is_not_exact(message: Any) -> None:
    with pytest.raises(NotExact):
        normalise_messages([message], JOINING)


def test_the_messages_given_are_not_changed() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    given = [{"role": "system", "content": [part(HEADER)]}, {"role": "assistant", "tool_calls": [call]}]
    before = json.dumps(given)
    normalise_messages(given, JOINING)
    assert json.dumps(given) == before


def developer(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    return merge_developer(normalise_messages(list(messages), JOINING), JOINING)


USER = {"role": "user", "content": "hi"}
DEVELOPER = {"role": "developer", "content": "d"}


def test_developer_messages_become_one_system_message_in_front() -> None:
    assert developer(USER, DEVELOPER) == [{"role": "system", "content": "d"}, USER]
    merged = developer(
        {"role": "system", "content": "s", "name": "n"}, USER, DEVELOPER, {"role": "system", "content": ""}
    )
    assert merged == [{"role": "system", "content": "s\n\nd"}, USER]


def test_a_lone_developer_message_in_front_keeps_its_name_and_loses_its_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    first = {**DEVELOPER, "name": "n", "tools": tools}
    assert developer(first, USER) == [{"role": "system", "content": "d", "name": "n"}, USER]


def test_system_messages_stay_where_they_are_without_a_developer() -> None:
    later = {"role": "system", "content": "s"}
    assert developer(USER, later) == [USER, later]


def test_a_template_that_knows_developers_gets_them_with_their_tools() -> None:
    knowing = template_format("{% if messages[0].role == 'developer' %}{% endif %}")
    tool = {"x": 1, "type": "function", "function": {"parameters": {}, "name": "f"}}
    turns = merge_developer(normalise_messages([{**DEVELOPER, "tools": [tool]}, USER], knowing), knowing)
    printed = '[{"function": {"name": "f", "parameters": {}}, "type": "function", "x": 1}]'
    assert json.dumps(turns[0]["tools"]) == printed
    assert normalise_messages([DEVELOPER], knowing)[0]["tools"] is None


def test_merged_parts_are_joined() -> None:
    system = {"role": "system", "content": [part("a"), part("b")]}
    turns = merge_developer(normalise_messages([system, DEVELOPER, USER], LISTING), LISTING)
    assert turns[0] == {"role": "system", "content": "a\nb\n\nd"}
