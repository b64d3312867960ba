"""Chat messages as SGLang hands them to a chat template. Facts as of 0.5.23.

SGLang reads messages into its own models and prints them again: unknown keys and nulls are dropped, names are checked,
and keys come in the models' order. Input that SGLang refuses with a 400 raises NotExact here.
"""

import json
import math
from typing import Any

from tokenizer_cache.bodies.density import refuse_dense
from tokenizer_cache.rules import NotExact, string

_ROLES = frozenset(("system", "assistant", "tool", "function", "developer", "latest_reminder", "root"))
_STRINGS = ("tool_call_id", "name", "phase", "reasoning_content")
_MAX_INT, _MIN_INT = 2**64, -(2**63)
_TYPES = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))


def normalise_messages(messages: list[Any], wants_parts: bool) -> list[dict[str, Any]]:
    """The conversation that reaches the template, one for one; the last message's own rules are not applied here.
    `wants_parts`: the template's content format is `openai`. Raises NotExact."""
    return [_normalise(message, wants_parts) for message in messages]


def _normalise(message: Any, wants_parts: bool) -> dict[str, Any]:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str):
        raise NotExact("invalid")
    content = message.get("content")
    if role == "user":
        if content is None:
            raise NotExact("invalid")
        return _ordered({"role": role}, content, role, wants_parts)
    role = role.lower()
    if role not in _ROLES:
        raise NotExact("invalid")
    shown: dict[str, Any] = {
        "role": role,
        **{key: string(message[key]) for key in _STRINGS if message.get(key) is not None},
    }
    if message.get("tool_calls") is not None:
        shown["tool_calls"] = [_call(call, role) for call in _list(message["tool_calls"])]
    if message.get("tools") is not None:
        shown["tools"] = tools_of(message["tools"])
    prefix = message.get("prefix")
    if prefix is not None:
        shown["prefix"] = _flag(prefix)
    return _ordered(shown, "" if content is None else content, role, wants_parts)


def _ordered(shown: dict[str, Any], content: Any, role: str, wants_parts: bool) -> dict[str, Any]:
    """Content stands directly behind the role, but last where it stays a list of parts."""
    if isinstance(content, str):
        return {"role": shown.pop("role"), "content": content, **shown}
    parts = [_part(part, role) for part in _list(content)]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if not wants_parts:
        return {"role": shown.pop("role"), "content": " ".join(texts), **shown}
    kept = [part for part in parts if part["type"] != "thinking"]
    joined = role == "tool" and len(texts) == len(kept)
    return {**shown, "content": " ".join(texts) if joined else kept}


def _part(part: Any, role: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return {"type": "text", "text": string(part.get("text"))}
    if kind == "tool_reference":
        return {"type": kind, "name": string(part.get("name"))}
    if kind in ("thinking", "reasoning") and role == "assistant":
        return {"type": "thinking"}
    raise NotExact("media" if isinstance(kind, str) and kind.endswith(("_url", "image", "audio")) else "invalid")


def _call(call: Any, role: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or call.get("type", "function") != "function":
        raise NotExact("invalid")
    index = call.get("index")
    if index is not None and type(index) is not int:
        raise NotExact("invalid")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = parse_arguments(arguments) if role == "assistant" else arguments
    elif arguments is not None and not isinstance(arguments, dict):
        raise NotExact("invalid")
    name = function.get("name")
    return {
        "id": _optional(call.get("id")),
        "index": index,
        "type": "function",
        "function": {"name": _optional(name), "arguments": arguments},
    }


def parse_arguments(text: str) -> dict[str, Any]:
    """A call's arguments as an object. SGLang refuses other values, and JSON that only Python's reader accepts."""
    refuse_dense(text)
    try:
        found = json.loads(text, parse_constant=_refuse, parse_int=_whole, parse_float=_finite)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # fails for half a surrogate pair, which is refused there
    except (ValueError, RecursionError):
        raise NotExact("invalid") from None
    if not isinstance(found, dict):
        raise NotExact("invalid")
    return found


def tools_of(tools: Any) -> list[dict[str, Any]]:
    """Tools as SGLang prints them: the client's order of keys, nulls for a missing description and parameters."""
    return [_tool(tool) for tool in _list(tools)]


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise NotExact("invalid")
    outer, inner, strict = tool.get("defer_loading"), function.get("defer_loading"), function.get("strict")
    if not all(flag is None or isinstance(flag, bool) for flag in (outer, inner, strict)):
        raise NotExact("invalid")
    known: dict[str, Any] = {
        "description": _optional(function.get("description")),
        "name": function["name"],
        "parameters": function.get("parameters"),
    }
    _check_types(known["parameters"])
    if strict is not None:
        known["strict"] = strict
    if (deferred := outer if inner is None else inner) is not None:
        known["defer_loading"] = deferred
    order = [key for key in function if key in known]
    printed = {key: known[key] for key in [*order, *known]}
    return {"type": string(tool.get("type", "function")), "function": printed, "defer_loading": outer}


def _check_types(schema: Any) -> None:
    """Raises NotExact for type names that are no JSON Schema (`varchar`): SGLang rewrites them, this code does not."""
    if isinstance(schema, list):
        for item in schema:
            _check_types(item)
    elif isinstance(schema, dict):
        named = schema.get("type")
        names = named if isinstance(named, list) else [named] if isinstance(named, str) else []
        if any(not isinstance(name, str) or name not in _TYPES for name in names) or len(names) != len(set(names)):
            raise NotExact("tool")
        for item in schema.values():
            _check_types(item)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _whole(digits: str) -> int:
    number = int(digits)
    if not _MIN_INT <= number < _MAX_INT:
        raise ValueError(digits)
    return number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotExact("invalid")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotExact("invalid")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else string(value)
