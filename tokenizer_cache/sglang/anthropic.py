"""Anthropic's /v1/messages as the chat request that SGLang makes of it. Facts as of 0.5.23.

Not vLLM's translation: texts before and after a tool's result keep their places, system blocks are joined with line
breaks, hosted tools are skipped, and what a client's `thinking` does depends on the server's reasoning parser.
"""

import json
from typing import Any

from tokenizer_cache.rules import NotExact, string
from tokenizer_cache.sglang.template import SglangFormat

_THINK_PARSERS = frozenset(
    ("deepseek-r1", "deepseek-v3", "glm45", "kimi_k2", "minimax", "nemotron_3", "qwen3", "qwen3-thinking", "step3")
)
"""The reasoning parsers whose marks are <think> and </think>."""
_HOSTED = ("web_search_", "computer_", "bash_", "text_editor_")
_CHOICES = {"none": "none", "auto": "auto", "any": "required"}


def chat_body(body: dict[str, Any], template: SglangFormat) -> dict[str, Any]:
    """The chat body of a messages request. Raises NotExact for images, and for what is refused."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise NotExact("invalid")
    system = _system_texts(body.get("system"))
    if not template.inline_system:
        inline = [_trimmed(message.get("content")) for message in messages if _role(message) == "system"]
        system += [text for text in inline if text]
        messages = [message for message in messages if message["role"] != "system"]
    tools = _tools(body.get("tools"))
    head = [{"role": "system", "content": "\n".join(system)}] if system else []
    return {
        "messages": head + chat_messages(messages, template),
        "tools": tools or None,
        "tool_choice": _choice(body.get("tool_choice"), tools),
        "chat_template_kwargs": _thinking(body.get("thinking"), template),
        "reasoning_effort": _effort(body.get("output_config")),
    }


def chat_messages(messages: list[Any], template: SglangFormat) -> list[dict[str, Any]]:
    """Chat messages of Anthropic messages, each handled alone."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role, content = _role(message), message.get("content")
        if isinstance(content, str):
            turns.append({"role": role, "content": content})
        elif isinstance(content, list):
            turns += _turns_of_blocks(role, content, template)
        else:
            raise NotExact("invalid")
    return turns


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant", "system"):
        raise NotExact("invalid")
    return str(role)


def _turns_of_blocks(role: str, blocks: list[Any], template: SglangFormat) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    texts, calls = _thoughts(role, blocks, template), []
    for block in blocks:
        kind = _kind(block)
        if kind == "text":
            texts.append(string(block.get("text")))
        elif kind == "tool_use":
            calls.append(_call(block))
        elif kind == "tool_result" and role == "user":
            turns += _said(role, texts) + _results(block)
            texts = []
        elif kind == "tool_result":
            texts.append(f"Tool result: {_result_text(block.get('content'))}")
    if calls:
        return [*turns, {"role": role, **_content(texts), "tool_calls": calls}]
    if not texts and role != "user":
        return [*turns, {"role": role, "content": ""}]
    return turns + _said(role, texts)


def _said(role: str, texts: list[str]) -> list[dict[str, Any]]:
    return [{"role": role, **_content(texts)}] if texts else []


def _content(texts: list[str]) -> dict[str, Any]:
    if not texts:
        return {}
    return {"content": texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]}


def _thoughts(role: str, blocks: list[Any], template: SglangFormat) -> list[str]:
    """Earlier thinking goes back into the text, between the reasoning parser's marks; without a parser it is lost."""
    if role != "assistant":
        return []
    if any(isinstance(block, dict) and block.get("type") == "redacted_thinking" for block in blocks):
        raise NotExact("invalid")
    thoughts = [string(block.get("thinking")) for block in blocks if _kind(block) == "thinking"]
    thoughts = [thought for thought in thoughts if thought]
    parser = template.served.reasoning_parser
    if not thoughts or not parser:
        return []
    if parser not in _THINK_PARSERS:
        raise NotExact("reasoning")
    return ["<think>" + "\n".join(thoughts) + "\n</think>"]


def _kind(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind in ("image", "search_result"):
        raise NotExact("media" if kind == "image" else "item")
    if kind not in ("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "tool_reference"):
        raise NotExact("invalid")
    return str(kind)


def _call(block: dict[str, Any]) -> dict[str, Any]:
    asked = block.get("input", {})
    if not isinstance(asked, dict) or not string(block.get("id")):
        raise NotExact("invalid")
    return {
        "id": block["id"],
        "type": "function",
        "function": {"name": string(block.get("name")), "arguments": json.dumps(asked, ensure_ascii=False)},
    }


def _results(block: dict[str, Any]) -> list[dict[str, Any]]:
    """One message for each run of texts, and one for each run of tool references."""
    content, call_id = block.get("content"), block.get("tool_use_id") or block.get("id") or ""
    runs: list[list[dict[str, Any]]] = []
    for part in _result_parts(content) if isinstance(content, list) else ():
        if runs and runs[-1][0]["type"] == part["type"]:
            runs[-1].append(part)
        else:
            runs.append([part])
    contents: list[Any] = [run[0]["text"] if len(run) == 1 and "text" in run[0] else run for run in runs]
    if not contents:
        contents = [_result_text(content)]
    return [{"role": "tool", "tool_call_id": string(call_id), "content": content} for content in contents]


def _result_parts(content: list[Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for item in content:
        kind = _kind(item)
        if kind == "text" and string(item.get("text")):
            parts.append({"type": "text", "text": item["text"]})
        elif kind == "tool_reference" and (name := item.get("tool_name") or item.get("name")):
            parts.append({"type": kind, "name": string(name)})
    return parts


def _result_text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in _result_parts(content) if "text" in part)
    return string(content) if content else ""


def _system_texts(system: Any) -> list[str]:
    if system is None or isinstance(system, str):
        return [system] if system and system.strip() else []
    if not isinstance(system, list):
        raise NotExact("invalid")
    texts = [string(block.get("text")) for block in system if _kind(block) == "text"]
    return [text for text in texts if text]


def _trimmed(content: Any) -> str:
    texts = [content] if isinstance(content, str) else _system_texts(content)
    return "\n".join(text.strip() for text in texts if text.strip())


def _thinking(asked: Any, template: SglangFormat) -> dict[str, Any] | None:
    if asked is None:
        return None
    kind = asked.get("type") if isinstance(asked, dict) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        raise NotExact("invalid")
    if not template.served.reasoning_parser:
        if kind == "disabled":
            return None
        raise NotExact("invalid")
    if not template.switches_thinking or template.served.reasoning_parser not in _THINK_PARSERS:
        raise NotExact("reasoning")
    return {"enable_thinking": kind != "disabled"}


def _effort(config: Any) -> Any:
    effort = config.get("effort") if isinstance(config, dict) else None
    return "max" if effort == "xhigh" else effort


def _tools(tools: Any) -> list[dict[str, Any]]:
    if tools is not None and not isinstance(tools, list):
        raise NotExact("invalid")
    return [_tool(tool) for tool in tools or () if not _is_hosted(tool)]


def _is_hosted(tool: Any) -> bool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind is not None and kind != "custom" and not (isinstance(kind, str) and kind.startswith(_HOSTED)):
        raise NotExact("tool")
    return kind not in (None, "custom")


def _tool(tool: Any) -> dict[str, Any]:
    schema = tool.get("input_schema") if isinstance(tool, dict) else None
    strict = tool.get("strict", False) if isinstance(tool, dict) else None
    if not isinstance(schema, dict) or not isinstance(strict, bool):
        raise NotExact("invalid")
    function = {
        "name": tool.get("name"),
        "description": tool.get("description") or "",
        "parameters": schema if "type" in schema else {**schema, "type": "object"},
        "strict": strict,
    }
    return {"type": "function", "defer_loading": tool.get("defer_loading"), "function": function}


def _choice(choice: Any, tools: list[dict[str, Any]]) -> Any:
    kind = choice.get("type") if isinstance(choice, dict) else None
    if choice is not None and kind not in ("auto", "any", "tool", "none"):
        raise NotExact("invalid")
    if kind in ("any", "tool") and not tools:
        raise NotExact("invalid")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return _CHOICES.get(kind or "", "auto")
