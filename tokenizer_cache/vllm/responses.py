"""OpenAI's /v1/responses as the chat request that vLLM makes of it.

Several input items can become one chat message (reasoning, text and calls of one turn), so the items are looked at in
order. Only what reaches the prompt is translated. State that an engine keeps (previous_response_id) is not known here.
"""

import json
from typing import Any

from tokenizer_cache.rules import NotExact
from tokenizer_cache.vllm.template import TemplateFormat

_UNFINISHED = ("in_progress", "incomplete")
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_CUSTOM_TOOL_SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The freeform text payload for this tool."}},
    "required": ["input"],
    "additionalProperties": False,
}


def chat_body(body: dict[str, Any], template: TemplateFormat) -> dict[str, Any]:
    """The chat body of a responses request. Raises NotExact for stored state, media and items that only hosted tools
    produce."""
    del template
    if body.get("previous_response_id") is not None or body.get("prompt") is not None:
        raise NotExact("stored")
    if body.get("truncation", "disabled") != "disabled":
        raise NotExact("truncation")
    asked, reasoning = body.get("input"), body.get("reasoning")
    if isinstance(asked, str):
        turns, continues = [{"role": "user", "content": asked}], False
    elif isinstance(asked, list) and asked:
        turns, continues = chat_messages(asked), _is_unfinished(asked[-1])
    else:
        raise NotExact("invalid")
    instructions = body.get("instructions")
    return {
        "messages": [{"role": "system", "content": instructions}, *turns] if instructions else turns,
        "tools": _tools(body.get("tools")),
        "chat_template_kwargs": body.get("chat_template_kwargs"),
        "kv_transfer_params": body.get("kv_transfer_params"),
        "reasoning_effort": reasoning.get("effort") if isinstance(reasoning, dict) else None,
        "add_generation_prompt": not continues,
        "continue_final_message": continues,
        "add_special_tokens": True,
    }


def chat_messages(items: list[Any]) -> list[dict[str, Any]]:
    """Chat messages of input items. An assistant's reasoning, text and calls join the assistant message right before
    them as long as it lacks that field."""
    turns: list[dict[str, Any]] = []
    for item in items:
        if not isinstance(item, dict):
            raise NotExact("invalid")
        kind = item.get("type", "message")
        if kind in _CALLS:
            _join_call(turns, _call(item))
        elif kind in _OUTPUTS:
            turns.append({"role": "tool", "content": item.get("output"), "tool_call_id": item.get("call_id")})
        elif kind == "reasoning":
            _join(turns, "reasoning", _reasoning(item))
        elif kind == "message" and item.get("role") == "assistant":
            _join(turns, "content", _first_text(item.get("content")))
        elif kind == "message" and isinstance(item.get("role"), str):
            turns.append(item)
        else:
            raise NotExact("item")
    return turns


def _join(turns: list[dict[str, Any]], field: str, value: str) -> None:
    if turns and turns[-1]["role"] == "assistant" and turns[-1].get(field) is None:
        turns[-1][field] = value
    else:
        turns.append({"role": "assistant", field: value})


def _join_call(turns: list[dict[str, Any]], call: dict[str, Any]) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        turns.append({"role": "assistant"})
    turns[-1].setdefault("tool_calls", []).append(call)


def _call(item: dict[str, Any]) -> dict[str, Any]:
    name, arguments = item.get("name"), item.get("arguments")
    if item["type"] == "custom_tool_call":
        arguments = json.dumps({"input": item.get("input") or ""})
    elif item.get("namespace"):
        name = f"{item['namespace']}__{name}"
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise NotExact("invalid")
    return {"id": item.get("call_id"), "function": {"name": name, "arguments": arguments}, "type": "function"}


def _reasoning(item: dict[str, Any]) -> str:
    if item.get("encrypted_content"):
        raise NotExact("invalid")
    return _first_part(item.get("content") or item.get("summary") or [{"text": ""}])


def _first_text(content: Any) -> str:
    return content if isinstance(content, str) else _first_part(content)


def _first_part(parts: Any) -> str:
    """vLLM reads the first part of an assistant's message or reasoning and no other."""
    first = parts[0] if isinstance(parts, list) and parts else None
    text = first.get("text") if isinstance(first, dict) else None
    if not isinstance(text, str):
        raise NotExact("invalid")
    return text


def _is_unfinished(item: dict[str, Any]) -> bool:
    return item.get("type", "message") in ("message", "reasoning") and item.get("status") in _UNFINISHED


def _tools(tools: Any) -> list[dict[str, Any]] | None:
    """Function and custom tools; those that only hosted engines run are dropped, as vLLM does."""
    if not tools:
        return None
    return [{"type": "function", "function": function} for tool in _dicts(tools) for function in _functions(tool)]


def _dicts(values: Any) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise NotExact("invalid")
    return values


def _functions(tool: dict[str, Any]) -> list[dict[str, Any]]:
    if tool.get("type") == "function":
        return [tool]
    if tool.get("type") == "custom":
        described = {"name": tool.get("name"), "description": tool.get("description")}
        return [{**described, "parameters": _CUSTOM_TOOL_SCHEMA}]
    if tool.get("type") == "namespace":
        inner = [function for function in _dicts(tool.get("tools")) if function.get("type") == "function"]
        return [{**function, "name": f"{tool.get('name')}__{function.get('name')}"} for function in inner]
    return []
