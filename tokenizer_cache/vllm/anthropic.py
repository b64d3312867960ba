"""Anthropic's /v1/messages as the chat request that vLLM makes of it.

vLLM translates first and then renders, so this gives a chat body, and all rules for chat apply to it afterwards. The
chat body is never sent: it holds only what reaches the prompt.
"""

from typing import Any

from tokenizer_cache.rules import BILLING_HEADER, NotExact, string
from tokenizer_cache.vllm.template import TemplateFormat


def chat_body(body: dict[str, Any], template: TemplateFormat) -> dict[str, Any]:
    """The chat body of a messages request. Raises NotExact for images, server tools and changes of the tool list."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise NotExact("invalid")
    system = _system_texts(body.get("system"))
    if template.system_first:
        system += [text for message in messages if _role(message) == "system" for text in _inline_system(message)]
        messages = [message for message in messages if message["role"] != "system"]
    head = [{"role": "system", "content": "".join(system)}] if system else []
    return {
        "messages": head + chat_messages(messages),
        "tools": _tools(body.get("tools")),
        "chat_template_kwargs": body.get("chat_template_kwargs"),
        "kv_transfer_params": body.get("kv_transfer_params"),
        "reasoning_effort": _effort(body, template),
    }


def chat_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages of Anthropic messages, each handled alone: one may give several (a result of a tool and the user's
    text) or none. System messages stay where they are."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role, content = _role(message), message.get("content")
        if role == "system":
            turns += [{"role": "system", "content": text} for text in _inline_system(message) if text]
        elif isinstance(content, str):
            turns.append({"role": role, "content": content})
        elif isinstance(content, list):
            turns += _turns_of_blocks(role, content)
        else:
            raise NotExact("invalid")
    return turns


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant", "system"):
        raise NotExact("invalid")
    return str(role)


def _turns_of_blocks(role: str, blocks: list[Any]) -> list[dict[str, Any]]:
    typed = [(_kind(block), block) for block in blocks]
    results = [block for kind, block in typed if kind == "tool_result"]
    turns = [turn for block in results for turn in _results(block)] if role == "user" else []
    texts = [text for kind, block in typed for text in _texts(kind, block, role)]
    reasoning = [
        string(block["thinking"]) for kind, block in typed if kind == "thinking" and block.get("thinking") is not None
    ]
    calls = [_call(block) for kind, block in typed if kind == "tool_use"]
    turn: dict[str, Any] = {"role": role}
    if texts:
        turn["content"] = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
    if reasoning:
        turn["reasoning"] = "".join(reasoning)
    if calls:
        turn["tool_calls"] = calls
    return [*turns, turn] if texts or role != "user" else turns


def _texts(kind: str, block: dict[str, Any], role: str) -> list[str]:
    if kind == "text" and block.get("text"):
        return [string(block["text"])]
    if kind == "tool_result" and role == "assistant":
        return [f"Tool result: {block['content'] if block.get('content') else ''}"]  # vLLM prints it as Python does
    return []


def _kind(block: Any) -> str:
    """The block's type. vLLM silently skips blocks that it does not read, and refuses unknown ones."""
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "image":
        raise NotExact("media")
    if kind not in ("text", "thinking", "redacted_thinking", "tool_use", "tool_result", "tool_reference"):
        raise NotExact("item")
    return str(kind)


def _call(block: dict[str, Any]) -> dict[str, Any]:
    if not block.get("id"):
        raise NotExact("invalid")  # vLLM puts the time of day in its place
    function = {"arguments": block.get("input") or {}, "name": block.get("name") or ""}
    return {"id": block["id"], "function": function, "type": "function"}


def _results(block: dict[str, Any]) -> list[dict[str, Any]]:
    content = block.get("content")
    call_id = block.get("tool_use_id") or ""
    items = [item for item in content if isinstance(item, dict)] if isinstance(content, list) else []
    if any(item.get("type") == "image" for item in items):
        raise NotExact("media")
    texts = [string(item.get("text", "")) for item in items if item.get("type") == "text"]
    text = content if isinstance(content, str) else "\n".join(texts)
    turns: list[dict[str, Any]] = [{"role": "tool", "tool_call_id": call_id, "content": text}]
    names = [item.get("tool_name") or item.get("name") for item in items if item.get("type") == "tool_reference"]
    if references := [{"type": "tool_reference", "name": name} for name in names if name]:
        turns.append({"role": "tool", "tool_call_id": call_id, "content": references})
    return turns


def _system_texts(system: Any) -> list[str]:
    if isinstance(system, str):
        return [system] if system else []
    return _texts_of_blocks(system or [])


def _inline_system(message: dict[str, Any]) -> list[str]:
    """The text of a system message among the others: none, or one."""
    content = message.get("content")
    if isinstance(content, str):
        return [] if not content or content.startswith(BILLING_HEADER) else [content]
    texts = _texts_of_blocks(content)
    return ["".join(texts)] if texts else []


def _texts_of_blocks(blocks: Any) -> list[str]:
    """Texts of system blocks. Here vLLM drops a whole block that begins with the billing header."""
    if not isinstance(blocks, list):
        raise NotExact("invalid")
    texts = [string(block["text"]) for block in blocks if _kind(block) == "text" and block.get("text")]
    return [text for text in texts if not text.startswith(BILLING_HEADER)]


def _effort(body: dict[str, Any], template: TemplateFormat) -> Any:
    thinking, config = body.get("thinking"), body.get("output_config")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        return template.disabled_effort
    return config.get("effort") if isinstance(config, dict) else None


def _tools(tools: Any) -> list[dict[str, Any]] | None:
    if tools is None:
        return None
    if not isinstance(tools, list):
        raise NotExact("invalid")
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Any) -> dict[str, Any]:
    schema = tool.get("input_schema") if isinstance(tool, dict) else None
    if not isinstance(schema, dict):
        raise NotExact("tool")  # a tool that Anthropic's own servers run
    return {
        "name": tool.get("name"),
        "description": tool.get("description"),
        "parameters": schema if "type" in schema else {**schema, "type": "object"},
        "strict": tool.get("strict"),
        "defer_loading": tool.get("defer_loading"),
    }
