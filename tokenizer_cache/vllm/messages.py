"""Chat messages as vLLM hands them to a chat template.

vLLM does not pass a client's messages through: it rebuilds each one, so keys are dropped, parts are joined, arguments
become objects. The order of keys is kept too, because templates print objects as JSON. Works on plain dicts: it runs on
the hot path for every new message, and must not change what it is given.
"""

import json
from collections.abc import Iterable
from typing import Any

from tokenizer_cache.bodies.density import refuse_dense
from tokenizer_cache.rules import BILLING_HEADER, NotExact
from tokenizer_cache.vllm.template import TemplateFormat

_TEXT_KEYS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal", "thinking": "thinking"}
_MAY_BE_NULL = ("text", "refusal")
_MEDIA_FIELDS = frozenset(
    ["image_url", "image_pil", "image_embeds", "audio_url", "input_audio", "audio_embeds", "video_url", "video_embeds"]
)
_MEDIA_PARTS = _MEDIA_FIELDS | {"input_image", "prompt_embeds"}
_PART_FIELDS = _MEDIA_FIELDS.union(
    ["type", "text", "name", "refusal", "thinking", "closed", "data", "file", "uuid", "prompt_cache_breakpoint"]
)
_FIRST_CALL_KEYS = ("id", "function", "type")
_FIRST_FUNCTION_KEYS = ("arguments", "name")
_TOOL_FUNCTION_KEYS = ("name", "description", "parameters", "strict")


def normalise_messages(
    messages: list[dict[str, Any]], template_format: TemplateFormat, *, typed: bool = True
) -> list[dict[str, Any]]:
    """The conversation that vLLM 0.32 builds from the `messages` of a chat request, one for one.

    `typed`: vLLM's request model has read the messages, which moves the keys of tool calls into its own order. False
    for those which /v1/responses builds itself.

    Each message is handled alone, so the tail of a known conversation may be given. Two rules look across messages and
    are not applied here: developer messages of a template that does not know them (`merge_developer`), and the merging
    of system messages and neighbouring items that /v1/messages and /v1/responses do before there are chat messages.
    Raises NotExact for media and for what vLLM would refuse.
    """
    wrap = template_format.content == "openai"
    return [_normalise(message, wrap, typed) for message in messages]


def merge_developer(messages: list[dict[str, Any]], template_format: TemplateFormat) -> list[dict[str, Any]]:
    """If the template does not know the developer role, turns developer messages into system messages and merges all
    system messages at the front. Takes and gives normalised messages; returns the input itself when nothing changes."""
    if template_format.knows_developer or all(message["role"] != "developer" for message in messages):
        return messages
    rest, systems, scattered = [], [], False
    for place, message in enumerate(messages):
        if message["role"] in ("system", "developer"):
            systems.append(message)
            scattered = scattered or place > 0
        else:
            rest.append(message)
    if not scattered:
        only = {key: value for key, value in systems[0].items() if key != "tools"}
        return [{**only, "role": "system"}, *rest]
    texts = (_joined(message["content"]) for message in systems)
    return [{"role": "system", "content": "\n\n".join(text for text in texts if text)}, *rest]


def _normalise(message: dict[str, Any], wrap: bool, typed: bool) -> dict[str, Any]:
    if not isinstance(message, dict) or not isinstance(role := message.get("role"), str):
        raise NotExact("invalid")
    content = message.get("content")
    if content is None:
        content = []
    if isinstance(content, str) and not wrap and not (role == "system" and content.startswith(BILLING_HEADER)):
        turn: dict[str, Any] = {"role": role, "content": content}
    else:
        turn = {"role": role, "content": _content(role, content, wrap)}
    if role == "assistant":
        _add_calls_and_reasoning(turn, message, typed)
    elif role == "tool" and "tool_call_id" in message:
        turn["tool_call_id"] = message["tool_call_id"]
    for key in ("name", "task"):
        if isinstance(message.get(key), str):
            turn[key] = message[key]
    if role == "developer":
        turn["tools"] = _developer_tools(message.get("tools"))
    return turn


def _content(role: str, content: Any, wrap: bool) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        content = [content]
    elif not isinstance(content, list):
        raise NotExact("invalid")
    if role == "system":
        content = _without_billing_header(content)
    parts = [part for part in map(_part, content) if part is not None]
    if not wrap:
        return "\n".join(part for part in map(_flat, parts) if part)
    if role == "tool" and all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any) -> dict[str, Any] | None:
    """One content part in the form of the `openai` format; None for a part that is skipped."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise NotExact("invalid")
    kind = part.get("type")
    if kind == "tool_reference" and part.get("uuid") is None:
        if not isinstance(part.get("name"), str):
            raise NotExact("invalid")
        return {"type": kind, "name": part["name"]}
    if not isinstance(kind, str) or kind not in _TEXT_KEYS or part.get("uuid") is not None:
        raise NotExact("media" if not _MEDIA_PARTS.isdisjoint((str(kind), *part)) else "invalid")
    text = part.get(_TEXT_KEYS[kind])
    if text is None and kind in _MAY_BE_NULL:
        return None
    if not isinstance(text, str):
        raise NotExact("invalid")
    return {"type": "text", "text": text, **{key: part[key] for key in part if key not in _PART_FIELDS}}


def _flat(part: dict[str, Any]) -> str:
    text: str = part["name"] if part["type"] == "tool_reference" else part["text"]
    return text


def _joined(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if "text" in part)


def _without_billing_header(parts: Iterable[Any]) -> list[Any]:
    kept = []
    for part in parts:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if not (isinstance(text, str) and text.startswith(BILLING_HEADER)):
            kept.append(part)
        elif rest := text.partition("\n")[2]:
            kept.append({**part, "text": rest} if isinstance(part, dict) else rest)
    return kept


def _add_calls_and_reasoning(turn: dict[str, Any], message: dict[str, Any], typed: bool) -> None:
    calls = message.get("tool_calls")
    if calls:
        if not isinstance(calls, list):
            raise NotExact("invalid")
        turn["tool_calls"] = [_call(call, typed) for call in calls]
    reasoning = message.get("reasoning")
    if reasoning is None:
        reasoning = message.get("reasoning_content")
    if reasoning is not None:
        turn["reasoning"] = turn["reasoning_content"] = reasoning


def _call(call: Any, typed: bool) -> dict[str, Any]:
    function = _function_of(call)
    if not isinstance(function, dict) or call.get("type", "function") != "function":
        raise NotExact("invalid")
    function = {**function, "arguments": _arguments(function.get("arguments"))}
    if not typed:
        return {**call, "function": function}
    return _reordered({**call, "function": _reordered(function, _FIRST_FUNCTION_KEYS)}, _FIRST_CALL_KEYS)


def _arguments(arguments: Any) -> dict[str, Any]:
    """Arguments as an object; anything that is no JSON object counts as empty. The standard library reads them, because
    its number types and leniency (NaN, lone surrogates) decide what the template prints."""
    if isinstance(arguments, str) and arguments:
        refuse_dense(arguments)
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError:
            return {}
    return arguments if isinstance(arguments, dict) else {}


def _developer_tools(tools: Any) -> Any:
    if tools is None:
        return None
    if not isinstance(tools, list) or not all(isinstance(_function_of(tool), dict) for tool in tools):
        raise NotExact("invalid")
    ordered = ({**tool, "function": _reordered(tool["function"], _TOOL_FUNCTION_KEYS)} for tool in tools)
    return [_reordered(tool, ("function", "type")) for tool in ordered]


def _function_of(tool: Any) -> Any:
    return tool.get("function") if isinstance(tool, dict) else None


def _reordered(value: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    """A copy of a dict with the keys of `first` in front, as validation against a typed dict leaves them."""
    front = {key: value[key] for key in first if key in value}
    return {**front, **{key: value[key] for key in value if key not in front}}
