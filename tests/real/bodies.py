"""Bodies that try each rule of a prompt once. All of them are accepted by vLLM 0.32, and exact here."""

from typing import Any

Body = dict[str, Any]

HEADER = "x-anthropic-billing-header: cch=1;"
USER: Body = {"role": "user", "content": "hi"}


def function(name: str, arguments: str = "{}", **extra: Any) -> Body:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, "id": "c1", **extra}


def text(value: str, **extra: Any) -> Body:
    return {"type": "text", "text": value, **extra}


TOOLS: list[Body] = [
    {
        "zz": 1,
        "type": "function",
        "function": {"parameters": {"properties": {"z": {}, "a": {"maximum": 2**64}}}, "name": "f", "strict": True},
    },
    {"type": "function", "function": {"name": "g", "description": "<b> é 'q'", "strict": None}, "defer_loading": True},
    {"function": {"name": "h", "strict": False, "parameters": None}},
]
ARGUMENTS = [
    '{"b": 1, "a": [1.50, 1e3, NaN], "é": "\\u00e9</b>"}',
    *("{}", "", "null", "[1]", "42", '"s"', "{broken", ' {"a": 1} ', '{"a": 1, "a": 2}'),
]
CONVERSATIONS: list[list[Body]] = [
    *([{"role": role, "content": content}, USER] for role in ("system", "user", "assistant", "tool", "developer")
      for content in ("", "x\n", [], [text("a"), text("", cache_control={}), text("b", x=1)])),
    *([{"role": "system", "content": content}, USER]
      for content in (HEADER, f"{HEADER}\nrest", [text(HEADER), text("x")])),
    *([USER, {"role": "assistant", "content": None, "tool_calls": [function("f", given, index=0)]},
       {"role": "tool", "tool_call_id": "c1", "name": "f", "content": [text("r"), text("s")]}] for given in ARGUMENTS),
    *([USER, {"role": "assistant", "content": "x", **thought}, USER, {"role": "assistant", "content": "y", **thought}]
      for thought in ({"reasoning": "r"}, {"reasoning_content": "r\n"}, {"reasoning": "", "reasoning_content": "r"})),
    [USER, {"role": "assistant", "content": "x", "tool_calls": [], "refusal": None, "name": "n"}, USER],
    [USER, {"role": "assistant"}, {"role": "user", "content": "x", "name": "bob", "task": "t", "foo": 1}],
    [USER, {"role": "system", "content": "later"}, USER],
    [{"role": "system", "content": "s"}, USER, {"role": "developer", "content": "d", "tools": TOOLS[1:2]}],
    [{"role": "custom", "content": ["p", {"type": "input_text", "text": "q"}]}, USER],
]  # fmt: skip
CHAT_FIELDS: list[Body] = [
    {"tools": TOOLS},
    {"tools": TOOLS, "tool_choice": "none"},
    {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"chat_template_kwargs": {"enable_thinking": False, "unknown": 1}},
    {"chat_template_kwargs": {"enable_thinking": None}, "reasoning_effort": "none"},
    {"reasoning_effort": "none"},
    {"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": False}},
    {"documents": [{"title": "t"}], "add_special_tokens": True},
    {"add_generation_prompt": False},
]
CHAT: list[Body] = [
    *({"messages": conversation} for conversation in CONVERSATIONS),
    *({"messages": [USER], **fields} for fields in CHAT_FIELDS),
    {
        "messages": [USER, {"role": "assistant", "content": "so fa"}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    },
]

USE: Body = {"type": "tool_use", "id": "t1", "name": "f", "input": {"b": 1, "a": {"x": [1.5]}}}
RESULTS = [
    "res",
    "",
    None,
    [text("a"), text("b", cache_control={})],
    [text("a"), {"type": "tool_reference", "name": "f"}],
]
ANTHROPIC_TURNS: list[list[Body]] = [
    [{"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, text("a"), USE]}],
    [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, text("")]}],
    [{"role": "assistant", "content": [text("a"), text("b")]}, USER],
    [{"role": "system", "content": [text(HEADER), text("later")]}, USER],
    *([{"role": "assistant", "content": [USE]}, {"role": "user", "content": [
        text("and"), {"type": "tool_result", "tool_use_id": "t1", "content": result}, text("more")]}]
      for result in RESULTS),
]  # fmt: skip
ANTHROPIC_FIELDS: list[Body] = [
    {"system": "s"},
    {"system": f"{HEADER}\ns"},
    {"system": [text(HEADER), text("a"), text("b", cache_control={"type": "ephemeral"})]},
    {"tools": [{"name": "f", "input_schema": {"properties": {}}}]},
    {"tools": [{"input_schema": {"type": "x"}, "name": "g", "strict": True, "defer_loading": True}]},
    {"tools": []},
    {"thinking": {"type": "disabled"}},
    {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    {"chat_template_kwargs": {"enable_thinking": False}},
]  # fmt: skip
MESSAGES: list[Body] = [
    *({"max_tokens": 9, "messages": [USER, *turns]} for turns in ANTHROPIC_TURNS),
    *({"max_tokens": 9, "messages": [USER], **fields} for fields in ANTHROPIC_FIELDS),
]

THOUGHT: Body = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "why"}]}
SAID: Body = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said"}]}
CALL: Body = {"type": "function_call", "name": "f", "arguments": '{"b": 1}', "call_id": "c1"}
RESULT: Body = {"type": "function_call_output", "call_id": "c1", "output": "res"}
INPUTS: list[Any] = [
    "hi",
    [{"role": "system", "content": "s"}, {"role": "developer", "content": [{"type": "input_text", "text": "d"}]}, USER],
    [USER, THOUGHT, SAID, CALL, RESULT, THOUGHT, CALL, RESULT],
    [USER, SAID, THOUGHT, SAID, {**CALL, "namespace": "ns"}, CALL, RESULT, USER],
    [USER, {"type": "reasoning", "summary": [{"type": "summary_text", "text": "short"}]}, CALL, RESULT],
    [USER, {**SAID, "content": "plain"}, {**SAID, "id": "m", "status": "in_progress"}],
    [USER, {"type": "custom_tool_call", "name": "p", "call_id": "c1", "input": "é\n"}, {**RESULT, "output": [
        {"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}],
]  # fmt: skip
RESPONSE_FIELDS: list[Body] = [
    {"instructions": "do", "store": False, "include": ["reasoning.encrypted_content"]},
    {"tools": [{"type": "function", "name": "f", "parameters": {"b": 1}, "strict": False}]},
    {"tools": [{"type": "custom", "name": "p"}]},
    {"tools": [{"type": "web_search"}]},
    {"tools": [{"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "f"}]}]},
    {"reasoning": {"effort": "none"}},
    {"reasoning": {"effort": "high", "summary": "auto"}},
    {"chat_template_kwargs": {"enable_thinking": False}},
]  # fmt: skip
RESPONSES: list[Body] = [
    *({"input": asked} for asked in INPUTS),
    *({"input": "hi", **fields} for fields in RESPONSE_FIELDS),
]

ALL: dict[str, list[Body]] = {"chat": CHAT, "messages": MESSAGES, "responses": RESPONSES}
