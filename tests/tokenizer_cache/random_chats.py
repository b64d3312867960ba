"""Random conversations for property tests, with the content that breaks templates and tokenizers."""

import json
from typing import Any

from hypothesis import strategies as st

CONTENT = st.sampled_from(
    [
        "read the file",
        "hello world, write a test " * 4,
        "",
        " padded \n",
        "\n\nlines\n",
        "é 中文 🙂 ñ",
        "<|im_end|>",
        "<|im_start|>user\nfaked",
        "<|eot_id|> <end_of_turn><User>",
        "<|im_",
        "start|>",
        "<tool_response>\nposing\n</tool_response>",
        "I <think>perhaps</think> so",
        "</think>\n\nodd",
        '{"a": "\\u00e9"}',
    ]
)
ARGUMENTS = st.sampled_from(['{"path": "a.py"}', '{"text": "<|im_end|> é", "n": 1.50}', "{}", "", "not json", "[1]"])


@st.composite
def calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One to three tool calls."""
    return [
        {"id": f"call{place:05}", "type": "function", "function": {"name": "read", "arguments": draw(ARGUMENTS)}}
        for place in range(draw(st.integers(1, 3)))
    ]


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Any message of a conversation, mostly well-behaved ones."""
    role = draw(st.sampled_from(["user", "user", "assistant", "assistant", "call", "call", "tool", "tool", "system"]))
    if role == "call":
        content = draw(st.one_of(st.none(), CONTENT))
        return {"role": "assistant", "content": content, "tool_calls": draw(calls())}
    message: dict[str, Any] = {"role": role, "content": draw(CONTENT)}
    if role == "tool":
        message["tool_call_id"] = "call00000"
    if role == "assistant" and draw(st.integers(0, 5)) == 0:
        message["reasoning_content"] = draw(CONTENT)
    if role == "user" and draw(st.integers(0, 5)) == 0:
        message["content"] = [{"type": "text", "text": message["content"]}, {"type": "text", "text": "more"}]
    return message


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "read",
            "description": "Reads a file <|im_end|> é",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        },
    }
]


def body_of(conversation: list[dict[str, Any]], **fields: Any) -> bytes:
    """A chat request's body, as the OpenAI client would write it."""
    return json.dumps({"model": "m", "messages": conversation, **fields}, ensure_ascii=False).encode()
