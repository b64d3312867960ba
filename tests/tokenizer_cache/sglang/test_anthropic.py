"""Messages requests as SGLang's chat requests. Whole prompts are tested against recordings in `test_inputs`."""

from typing import Any

import pytest

from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.sglang.anthropic import chat_body, chat_messages
from tokenizer_cache.sglang.template import SglangFormat, sglang_format

SWITCH = "{% if enable_thinking is defined and not enable_thinking %}{% endif %}"
ALL = "{% for m in messages %}{{ m.content }}{% endfor %}" + SWITCH
USER = {"role": "user", "content": "hi"}


def format_of(source: str = ALL, parser: str = "qwen3") -> SglangFormat:
    return sglang_format(source, {}, Served(engine="sglang", reasoning_parser=parser))


INLINE, FIRST, PLAIN = format_of(), format_of(SWITCH), format_of(parser="")
TOOL = {"name": "f", "input_schema": {}}


def block(kind: str = "text", **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def result(content: Any) -> dict[str, Any]:
    return block("tool_result", tool_use_id="t", content=content)


def body(template: SglangFormat = INLINE, **fields: Any) -> dict[str, Any]:
    return chat_body({"messages": [USER], **fields}, template)


def turns(role: str, *blocks: dict[str, Any], template: SglangFormat = INLINE) -> list[dict[str, Any]]:
    return chat_messages([{"role": role, "content": list(blocks)}], template)


@pytest.mark.parametrize(
    ("system", "expected"),
    [("s", ["s"]), (" ", []), (None, []), ([block(text="a"), block(text=""), block(text="b")], ["a\nb"])],
)
def test_system_blocks_are_joined_with_a_line_break(system: Any, expected: list[str]) -> None:
    assert body(system=system)["messages"] == [*({"role": "system", "content": text} for text in expected), USER]


def test_later_system_messages_stay_or_join_the_first_by_the_template() -> None:
    later = {"role": "system", "content": " b "}
    assert body(system="a", messages=[USER, later])["messages"][1:] == [USER, later]
    assert body(FIRST, system="a", messages=[USER, later])["messages"] == [
        {"role": "system", "content": "a\nb"},
        USER,
    ]


def test_text_around_a_result_keeps_its_place() -> None:
    assert turns("user", block(text="a"), result("r"), block(text="b"), block(text="c")) == [
        {"role": "user", "content": "a"},
        {"role": "tool", "tool_call_id": "t", "content": "r"},
        {"role": "user", "content": [block(text="b"), block(text="c")]},
    ]
    for content in ("r", [block(text="r")]):
        assert turns("assistant", result(content)) == [{"role": "assistant", "content": "Tool result: r"}]


def test_a_result_is_one_message_for_each_run_of_texts_or_references() -> None:
    reference = block("tool_reference", tool_name="f")
    found = turns("user", result([block(text="a"), reference, block(text="b"), block(text="c")]))
    assert [turn["content"] for turn in found] == [
        "a",
        [{"type": "tool_reference", "name": "f"}],
        [block(text="b"), block(text="c")],
    ]
    assert [turn["content"] for turn in turns("user", result([]))] == [""]


def test_calls_close_an_assistant_s_turn() -> None:
    (turn,) = turns("assistant", block("tool_use", id="t", name="f", input={"é": 1}), block(text="a"))
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"é": 1}'}}
    assert turn == {"role": "assistant", "content": "a", "tool_calls": [call]}
    assert turns("assistant") == [{"role": "assistant", "content": ""}]
    assert turns("user") == []


def test_thoughts_go_back_between_the_parser_s_marks() -> None:
    thought = block("thinking", thinking="t")
    (turn,) = turns("assistant", thought, thought, block(text="a"))
    assert turn["content"] == [block(text="<think>t\nt\n</think>"), block(text="a")]
    assert turns("assistant", thought, block(text="a"), template=PLAIN) == [{"role": "assistant", "content": "a"}]
    with pytest.raises(NotExact, match="reasoning"):
        turns("assistant", thought, template=format_of(parser="gpt-oss"))


@pytest.mark.parametrize(
    ("asked", "template", "expected"),
    [
        (None, INLINE, None),
        ({"type": "enabled"}, INLINE, {"enable_thinking": True}),
        ({"type": "adaptive"}, INLINE, {"enable_thinking": True}),
        ({"type": "disabled"}, INLINE, {"enable_thinking": False}),
        ({"type": "disabled"}, PLAIN, None),
        ({"type": "enabled"}, PLAIN, "invalid"),
        ({"type": "often"}, INLINE, "invalid"),
        ({"type": "enabled"}, format_of("{{ messages }}"), "reasoning"),
        ({"type": "enabled"}, format_of(parser="gpt-oss"), "reasoning"),
    ],
)
def test_thinking_is_switched_by_template_and_parser(asked: Any, template: SglangFormat, expected: Any) -> None:
    if isinstance(expected, str):
        with pytest.raises(NotExact, match=expected):
            body(template, thinking=asked)
    else:
        assert body(template, thinking=asked)["chat_template_kwargs"] == expected


def test_hosted_tools_are_skipped_and_schemas_are_objects() -> None:
    hosted = {"type": "web_search_20250305", "name": "web_search"}
    assert body(tools=[hosted])["tools"] is None
    (tool,) = body(tools=[hosted, {**TOOL, "type": "custom"}])["tools"]
    assert tool["function"] == {"name": "f", "description": "", "parameters": {"type": "object"}, "strict": False}
    (typed,) = body(tools=[{"name": "f", "input_schema": {"type": "array"}}])["tools"]
    assert typed["function"]["parameters"] == {"type": "array"}
    with pytest.raises(NotExact, match="tool"):
        body(tools=[{"type": "code_execution_1"}])


def test_effort_and_choice_in_the_words_of_chat() -> None:
    assert body(output_config={"effort": "xhigh"})["reasoning_effort"] == "max"
    assert body(output_config={"effort": "low"})["reasoning_effort"] == "low"
    named = {"type": "tool", "name": "f"}
    choices = [None, {"type": "auto"}, {"type": "any"}, {"type": "none"}, named]
    assert [body(tools=[TOOL], tool_choice=choice)["tool_choice"] for choice in choices] == [
        "auto",
        "auto",
        "required",
        "none",
        {"type": "function", "function": {"name": "f"}},
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": [block("video")]}]},
        {"messages": [{"role": "assistant", "content": [block("redacted_thinking")]}]},
        {"messages": [{"role": "assistant", "content": [block("tool_use", id="", name="f")]}]},
        {"system": 3},
        {"tools": {}},
        {"tools": [{"name": "f"}]},
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "some"}},
    ],
)
def test_what_sglang_refuses_is_not_exact(wrong: dict[str, Any]) -> None:
    with pytest.raises(NotExact, match="invalid"):
        body(**wrong)


@pytest.mark.parametrize(("kind", "reason"), [("image", "media"), ("search_result", "item")])
def test_what_cannot_be_counted_is_not_exact(kind: str, reason: str) -> None:
    with pytest.raises(NotExact, match=reason):
        turns("user", block(kind))
