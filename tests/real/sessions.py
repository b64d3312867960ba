"""Recorded agent sessions as requests to each of the three APIs."""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

Body = dict[str, Any]


def requests(file: Path, max_bytes: int, count: int) -> Iterator[Body]:
    """Chat bodies, one of each session: its longest request of at most `max_bytes`."""
    with file.open("rb") as packed:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(packed), "utf-8")
        yield from itertools.islice(filter(None, (_longest(json.loads(line), max_bytes) for line in lines)), count)


def _longest(session: Body, max_bytes: int) -> Body | None:
    pool, found = session["messages"], None
    for request in session["requests"]:
        messages = [message for start, end in request["spans"] for message in pool[start:end]]
        if messages and len(json.dumps(messages)) <= max_bytes:
            found = {"messages": messages, **({"tools": session["tools"]} if session.get("tools") else {})}
    return found


def as_messages(chat: Body) -> Body:
    """The same conversation as an Anthropic client sends it."""
    turns = [_anthropic(message) for message in chat["messages"] if message["role"] != "system"]
    system = [{"type": "text", "text": _flat(m)} for m in chat["messages"] if m["role"] == "system"]
    tools = [
        {**{"name": f["name"], "description": f.get("description")}, "input_schema": f.get("parameters") or {}}
        for f in (tool["function"] for tool in chat.get("tools", ()))
    ]
    return {
        "max_tokens": 9,
        "messages": turns,
        **({"system": system} if system else {}),
        **({"tools": tools} if tools else {}),
    }


def _anthropic(message: Body) -> Body:
    if message["role"] == "tool":
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id", "x"), "content": _flat(message)}
        return {"role": "user", "content": [result]}
    blocks: list[Body] = [{"type": "text", "text": _flat(message)}] if _flat(message) else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {"type": "tool_use", "id": call["id"], "name": function["name"], "input": _object(function["arguments"])}
        )
    return {"role": message["role"], "content": blocks or ""}


def as_responses(chat: Body) -> Body:
    """The same conversation as a client of the Responses API sends it."""
    items = [item for message in chat["messages"] for item in _items(message)]
    tools = [{"type": "function", **tool["function"]} for tool in chat.get("tools", ())]
    return {"input": items, "max_output_tokens": 9, **({"tools": tools} if tools else {})}


def _items(message: Body) -> Iterator[Body]:
    role, text = message["role"], _flat(message)
    if role == "tool":
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id", "x"), "output": text}
    elif role != "assistant":
        yield {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
    elif text:
        yield {"type": "message", "role": role, "content": [{"type": "output_text", "text": text}]}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def _flat(message: Body) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _object(arguments: str) -> Body:
    try:
        found = json.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
