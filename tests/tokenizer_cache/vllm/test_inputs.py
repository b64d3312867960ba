"""From a body to one call of the template. The expectations are those of a running vLLM 0.32."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.bodies import ALL
from tests.tokenizer_cache.formats import JOINING, JOINS, LISTING
from tokenizer_cache.rules import NotExact, TemplateCall
from tokenizer_cache.vllm.inputs import template_call
from tokenizer_cache.vllm.template import content_format, template_format

USER = {"role": "user", "content": "hi"}


def call(**fields: Any) -> TemplateCall:
    return template_call("chat", {"model": "m", "messages": [USER], **fields}, JOINING)


def test_a_plain_chat() -> None:
    assert call() == TemplateCall([USER], None, {}, True, False, False)


def test_content_follows_the_template() -> None:
    assert content_format(JOINS) == "string"
    assert template_call("chat", {"messages": [USER]}, LISTING).messages[0]["content"] == [
        {"type": "text", "text": "hi"}
    ]


TOOLS = [
    (
        {
            "zz": 1,
            "type": "function",
            "function": {"parameters": {"b": 1, "a": 2}, "name": "f", "strict": True, "z": 1},
        },
        '{"type": "function", "function": {"name": "f", "description": null, "parameters": {"b": 1, "a": 2}, '
        '"strict": true}}',
    ),
    (
        {"function": {"name": "f", "description": "d", "strict": None}},
        '{"type": "function", "function": {"name": "f", "description": "d", "parameters": null}}',
    ),
    (
        {"function": {"name": "f", "strict": False}, "defer_loading": True},
        '{"type": "function", "function": {"name": "f", "description": null, "parameters": null, "strict": false, '
        '"defer_loading": true}, "defer_loading": true}',
    ),
    (
        {"function": {"name": "f", "defer_loading": False}},
        '{"type": "function", "function": {"name": "f", "description": null, "parameters": null, '
        '"defer_loading": false}}',
    ),
]


@pytest.mark.parametrize(("tool", "printed"), TOOLS)
def test_tools_are_printed_as_the_request_model_does(tool: dict[str, Any], printed: str) -> None:
    for choice in ({}, {"tool_choice": "none"}):
        assert json.dumps(call(tools=[tool], **choice).tools) == f"[{printed}]"


@pytest.mark.parametrize(
    "tools", ["f", {}, [5], [{}], [{"type": "custom", "custom": {}}], [{"function": {"name": "f", "strict": "true"}}]]
)
def test_other_tools_are_not_exact(tools: Any) -> None:
    with pytest.raises(NotExact):
        call(tools=tools)


KWARGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"chat_template_kwargs": {"color": "red", "unknown": 1}}, {"color": "red"}),
    ({"chat_template_kwargs": {"color": None, "enable_thinking": "auto"}}, {}),
    ({"chat_template_kwargs": None}, {}),
    ({"reasoning_effort": "high"}, {"enable_thinking": True}),
    ({"reasoning_effort": "none"}, {"enable_thinking": False}),
    ({"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}),
    ({"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": None}}, {}),
    ({"documents": [{"a": "b"}], "chat_template_kwargs": {"documents": []}}, {"documents": [{"a": "b"}]}),
    ({"chat_template_kwargs": {"documents": [{"a": "b"}]}}, {"documents": [{"a": "b"}]}),
    ({"chat_template_kwargs": {"add_generation_prompt": False, "continue_final_message": True}}, {}),
]


@pytest.mark.parametrize(("fields", "expected"), KWARGS)
def test_template_arguments_by_precedence(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    found = call(**fields)
    assert found.kwargs == expected
    assert found.add_generation_prompt
    assert not found.continue_final_message


def test_the_servers_defaults_are_the_weakest() -> None:
    served = template_format(JOINS, {}, {"enable_thinking": False, "color": "red", "unknown": 1})
    body = {"messages": [USER]}
    assert template_call("chat", body, served).kwargs == {"enable_thinking": False, "color": "red"}
    louder = {**body, "reasoning_effort": "low", "chat_template_kwargs": {"color": "blue"}}
    assert template_call("chat", louder, served).kwargs == {"enable_thinking": True, "color": "blue"}


def test_reasoning_effort_reaches_a_template_that_reads_it() -> None:
    reading = template_format("{{ messages }}{{ reasoning_effort }}")
    assert template_call("chat", {"messages": [USER], "reasoning_effort": "low"}, reading).kwargs == {
        "reasoning_effort": "low"
    }


def test_the_requests_own_fields_beat_template_arguments_of_the_same_name() -> None:
    reading = template_format("{{ messages }}{{ add_generation_prompt }}{{ continue_final_message }}")
    asked = {"add_generation_prompt": False, "continue_final_message": True}
    found = template_call("chat", {"messages": [USER], "chat_template_kwargs": asked}, reading)
    assert (found.kwargs, found.add_generation_prompt, found.continue_final_message) == ({}, True, False)


def test_flags() -> None:
    assert not call(add_generation_prompt=False).add_generation_prompt
    assert call(add_special_tokens=True).add_special_tokens
    assert call(continue_final_message=True, add_generation_prompt=False).continue_final_message


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"chat_template": "{{ messages }}"}, "chat_template"),
    ({"truncate_prompt_tokens": 5}, "truncation"),
    ({"kv_transfer_params": {"prompt_token_ids": [1]}}, "token_ids"),
    ({"chat_template_kwargs": {"tokenize": True}}, "kwargs"),
    ({"chat_template_kwargs": {"tools": []}}, "kwargs"),
    ({"chat_template_kwargs": ["x"]}, "invalid"),
    ({"continue_final_message": True}, "invalid"),
    ({"add_generation_prompt": "false"}, "invalid"),
    ({"add_special_tokens": None}, "invalid"),
    ({"messages": []}, "invalid"),
    ({"messages": "hi"}, "invalid"),
    ({"messages": None}, "invalid"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_what_cannot_be_known_is_not_exact(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotExact) as caught:
        call(**fields)
    assert caught.value.reason == reason


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside a body."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield (*way, key)
        yield from places(inner, (*way, key))


def replaced(body: Any, way: tuple[Any, ...], value: Any) -> Any:
    if not way:
        return value
    changed = copy.copy(body)
    changed[way[0]] = replaced(body[way[0]], way[1:], value)
    return changed


JUNK: list[Any] = [
    None,
    True,
    10**30,
    "text",
    "",
    [],
    {},
    ["x"],
    [None],
    [{}],
    {"type": ["x"]},
    [{"type": "text", "text": 5}],
]


@pytest.mark.parametrize("api", ALL)
def test_a_body_with_one_wrong_value_is_rendered_or_not_exact_and_never_changed(api: str) -> None:
    outcomes = set()
    for body in ALL[api]:
        for way in places(body):
            for junk in JUNK:
                wrong = replaced(body, way, junk)
                before = json.dumps(wrong)
                try:
                    template_call(api, wrong, JOINING)
                    outcomes.add("")
                except NotExact as refused:
                    outcomes.add(refused.reason)
                assert json.dumps(wrong) == before
    assert (
        {"", "invalid"}
        <= outcomes
        <= {"", "invalid", "item", "kwargs", "media", "stored", "token_ids", "tool", "truncation"}
    )
