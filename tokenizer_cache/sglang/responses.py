"""The Responses API as the chat request that SGLang makes of it. Facts as of 0.5.23.

Neighbouring assistant items become one message. Developer messages become labelled system messages. Where a template
accepts only one leading system message, all system messages are merged into it. State that a server keeps is not known
here.
"""

import json
from typing import Any

from tokenizer_cache.bodies.density import refuse_dense
from tokenizer_cache.rules import NotExact
from tokenizer_cache.sglang.template import SglangFormat

_LABEL = "Developer instructions:"
_NOT_SHOWN = ("id", "status", "type")
_CUSTOM_TOOL_SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The freeform text payload for this tool."}},
    "required": ["input"],
    "additionalProperties": False,
}


def chat_body(body: dict[str, Any], template: SglangFormat) -> dict[str, Any]:
    """The chat body of a responses request. Raises NotExact for stored state, media, and what is refused."""
    if body.get("previous_response_id") is not None:
        raise NotExact("stored")
    asked, reasoning, instructions = body.get("input"), body.get("reasoning"), body.get("instructions")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(items, list):
        raise NotExact("invalid")
    head = [{"role": "system", "content": instructions}] if instructions else []
    turns = _merged(head + [turn for turn in map(_turn, items) if turn is not None])
    tools = _tools(body.get("tools"))
    return {
        "messages": turns if template.inline_system else _system_first(turns),
        "tools": tools or None,
        "tool_choice": _choice(body.get("tool_choice", "auto")) if tools else "none",
        "chat_template_kwargs": _kwargs(body.get("chat_template_kwargs"), reasoning),
        "reasoning_effort": reasoning.get("effort", "medium") if isinstance(reasoning, dict) else None,
    }


def _kwargs(asked: Any, reasoning: Any) -> Any:
    effort = (reasoning.get("effort") or reasoning.get("reasoning_effort")) if isinstance(reasoning, dict) else None
    if effort != "none":
        return asked
    return {"thinking": False, "enable_thinking": False, **(asked if isinstance(asked, dict) else {})}


def _turn(item: Any) -> dict[str, Any] | None:
    """The chat message of one item; None for reasoning without text."""
    if not isinstance(item, dict):
        raise NotExact("invalid")
    kind = item.get("type")
    if item.get("role") == "developer":
        item = {**item, "role": "system", "content": _labelled(item.get("content"))}
    if kind == "function_call":
        return _call(item, item.get("name"), _arguments(item.get("arguments")))
    if kind == "custom_tool_call":
        return _call(item, item.get("name"), json.dumps({"input": item.get("input") or ""}, ensure_ascii=False))
    if kind in ("function_call_output", "custom_tool_call_output"):
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": _output(item.get("output", ""))}
    if kind == "reasoning":
        return _reasoning(item)
    if kind not in (None, "message"):
        raise NotExact("item")
    shown = {key: value for key, value in item.items() if value is not None and key not in _NOT_SHOWN}
    if isinstance(shown.get("content"), list):
        shown["content"] = [_part(part) for part in shown["content"]]
    return shown


def _call(item: dict[str, Any], name: Any, arguments: str) -> dict[str, Any]:
    call_id = item.get("call_id") or item.get("id")
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]}


def _arguments(asked: Any) -> str:
    """The arguments as JSON; anything that is no JSON object counts as an empty one."""
    if isinstance(asked, dict):
        return json.dumps(asked, ensure_ascii=False)
    if not isinstance(asked, str) or not asked:
        return "{}"
    refuse_dense(asked)
    try:
        return asked if isinstance(json.loads(asked), dict) else "{}"
    except ValueError:
        return "{}"


def _output(output: Any) -> Any:
    if not isinstance(output, list):
        return output
    texts = [part.get("text", "") for part in output if isinstance(part, dict)]
    if not all(isinstance(text, str) for text in texts):
        raise NotExact("invalid")
    return "".join(texts)


def _reasoning(item: dict[str, Any]) -> dict[str, Any] | None:
    texts = _texts(item.get("summary")) or _texts(item.get("content"))
    if not texts and item.get("encrypted_content"):
        raise NotExact("item")
    return {"role": "assistant", "reasoning_content": "\n".join(texts)} if texts else None


def _texts(parts: Any) -> list[str]:
    if not isinstance(parts, list | None):
        raise NotExact("invalid")
    texts = [part.get("text") for part in parts or () if isinstance(part, dict)]
    return [text for text in texts if isinstance(text, str) and text]


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text", "")}
    return part


def _labelled(content: Any) -> Any:
    if isinstance(content, str):
        return f"{_LABEL}\n{content}"
    if not isinstance(content, list):
        return content
    for place, part in enumerate(content):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return [*content[:place], {**part, "text": f"{_LABEL}\n{part['text']}"}, *content[place + 1 :]]
    return [{"type": "input_text", "text": _LABEL}, *content]


def _merged(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: list[dict[str, Any]] = []
    for turn in turns:
        last = merged[-1] if merged else {}
        same = last.get("phase") == turn.get("phase") or last.keys() == {"role", "reasoning_content"}
        if turn.get("role") == "assistant" == last.get("role") and same:
            merged[-1] = _joined(last, turn)
        else:
            merged.append(turn)
    return merged


def _joined(last: dict[str, Any], turn: dict[str, Any]) -> dict[str, Any]:
    joined = dict(last)
    if turn.get("phase") is not None:
        joined["phase"] = turn["phase"]
    before, content = last.get("content"), turn.get("content")
    if content is not None and content != "":
        if before is None or before == "":
            joined["content"] = content
        elif isinstance(before, str) and isinstance(content, str):
            joined["content"] = before + "\n\n" + content
        else:
            joined["content"] = _as_parts(before) + _as_parts(content)
    if turn.get("tool_calls"):
        joined["tool_calls"] = [*(last.get("tool_calls") or ()), *turn["tool_calls"]]
    if thought := turn.get("reasoning_content"):
        earlier = last.get("reasoning_content")
        joined["reasoning_content"] = f"{earlier}\n{thought}" if earlier else thought
    return joined


def _as_parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _system_first(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    texts: list[str] = []
    for turn in turns:
        if turn.get("role") == "system":
            content = turn.get("content")
            parts = [{"text": content}] if isinstance(content, str) else content or []
            texts += [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    others = [turn for turn in turns if turn.get("role") != "system"]
    return [{"role": "system", "content": "\n\n".join(texts)}, *others] if texts else others


def _tools(tools: Any) -> list[dict[str, Any]]:
    if tools is not None and not isinstance(tools, list):
        raise NotExact("invalid")
    functions = [_function(tool) for tool in tools or ()]
    return [{"type": "function", "function": function} for function in functions if function is not None]


def _function(tool: Any) -> dict[str, Any] | None:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "function":
        described = {"description": tool.get("description"), "parameters": tool.get("parameters")}
    elif kind == "custom" and tool.get("name"):
        described = {"description": _description(tool), "parameters": _CUSTOM_TOOL_SCHEMA}
    else:
        return None
    return {"name": tool.get("name"), **described, "strict": tool.get("strict", False)}


def _description(tool: dict[str, Any]) -> str | None:
    texts, grammar = [tool["description"]] if tool.get("description") else [], tool.get("format")
    if isinstance(grammar, dict) and grammar.get("type") == "grammar":
        syntax, definition = grammar.get("syntax") or "lark", grammar.get("definition") or ""
        texts.append(f"The payload must conform to this {syntax} grammar:\n{definition}")
    return "\n\n".join(texts) or None


def _choice(choice: Any) -> Any:
    if not isinstance(choice, dict):
        return choice
    function = choice.get("function")
    name = choice.get("name") or (function.get("name") if isinstance(function, dict) else None)
    if choice.get("type") in ("function", "custom") and name:
        return {"type": "function", "function": {"name": name}}
    return "auto"
