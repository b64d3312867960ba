"""From a request's body to exactly what vLLM 0.32 gives to the chat template.

`template_call` is the only entrance: it turns the three chat-like APIs into one call of the template.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizer_cache.rules import OWN_ARGUMENTS, NotExact, Served, TemplateCall
from tokenizer_cache.vllm import anthropic, responses
from tokenizer_cache.vllm.messages import merge_developer, normalise_messages
from tokenizer_cache.vllm.template import TemplateFormat, template_format

_TO_CHAT = {
    "chat": lambda body, _: body,
    "messages": anthropic.chat_body,
    "responses": responses.chat_body,
}


class VllmRules:
    """vLLM's rules for one template."""

    def __init__(self, source: str, special_tokens: Mapping[str, Any], served: Served) -> None:
        self._format = template_format(source, special_tokens, served.default_kwargs)

    def call(self, api: str, body: dict[str, Any]) -> TemplateCall:
        """See Rules."""
        return template_call(api, body, self._format)

    def messages(self, api: str, items: Sequence[Any]) -> list[dict[str, Any]]:
        """See Rules."""
        turns = anthropic.chat_messages(list(items)) if api == "messages" else list(items)
        return normalise_messages(turns, self._format)


def template_call(api: str, body: dict[str, Any], template: TemplateFormat) -> TemplateCall:
    """What vLLM renders for a body of `api` (`chat`, `messages` or `responses`). The body is not changed; parts of it
    are shared with the answer. Raises NotExact."""
    chat = _TO_CHAT[api](body, template)
    _refuse_inexact(chat)
    messages = chat.get("messages")
    if not isinstance(messages, list) or not messages:
        raise NotExact("invalid")
    adds_prompt, continues = _flag(chat, "add_generation_prompt", True), _flag(chat, "continue_final_message", False)
    if adds_prompt and continues:
        raise NotExact("invalid")
    return TemplateCall(
        messages=merge_developer(normalise_messages(messages, template, typed=api != "responses"), template),
        tools=_tools(chat.get("tools")),
        kwargs=_kwargs(chat, template, keeps_null=api == "responses" and not template.default_kwargs),
        add_generation_prompt=adds_prompt,
        continue_final_message=continues,
        add_special_tokens=_flag(chat, "add_special_tokens", False),
    )


def _refuse_inexact(chat: dict[str, Any]) -> None:
    if chat.get("chat_template") is not None:
        raise NotExact("chat_template")
    if chat.get("truncate_prompt_tokens") is not None:
        raise NotExact("truncation")
    transfer = chat.get("kv_transfer_params")
    if isinstance(transfer, dict) and transfer.get("prompt_token_ids") is not None:
        raise NotExact("token_ids")


def _flag(chat: dict[str, Any], name: str, default: bool) -> bool:
    value = chat.get(name, default)
    if not isinstance(value, bool):
        raise NotExact("invalid")
    return value


def _kwargs(chat: dict[str, Any], template: TemplateFormat, keeps_null: bool) -> dict[str, Any]:
    """Server defaults, then the request's template arguments, then its own fields; null and "auto" mean not given.
    `keeps_null`: /v1/responses on a server without defaults hands them on."""
    asked = chat.get("chat_template_kwargs") or {}
    if not isinstance(asked, dict):
        raise NotExact("invalid")
    if not OWN_ARGUMENTS.isdisjoint(asked):
        raise NotExact("kwargs")
    given = {name: value for name, value in asked.items() if keeps_null or (value is not None and value != "auto")}
    effort = chat.get("reasoning_effort")
    if effort is not None:
        given["reasoning_effort"] = effort
        if "enable_thinking" not in asked:
            given["enable_thinking"] = effort != "none"
    if chat.get("documents") is not None:
        given["documents"] = chat["documents"]
    merged = {**template.default_kwargs, **given}
    accepted = template.variables | {"documents"}
    accepted -= {"add_generation_prompt", "continue_final_message"}
    return {name: value for name, value in merged.items() if name in accepted}


def _tools(tools: Any) -> list[dict[str, Any]] | None:
    """Tools as vLLM's models print them: fixed order of keys, null for what is absent, unknown keys dropped. They stay
    in the prompt with `tool_choice: none` too."""
    if tools is None:
        return None
    if not isinstance(tools, list):
        raise NotExact("invalid")
    return [_tool(tool) for tool in tools]


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type", "function") != "function":
        raise NotExact("invalid")
    outer, inner = tool.get("defer_loading"), function.get("defer_loading")
    strict = function.get("strict")
    if not all(flag is None or isinstance(flag, bool) for flag in (strict, outer, inner)):
        raise NotExact("invalid")  # vLLM reads "true" and 1 as true, and prints what it read
    printed = {name: function.get(name) for name in ("name", "description", "parameters")}
    if strict is not None:
        printed["strict"] = strict
    if (deferred := outer if inner is None else inner) is not None:
        printed["defer_loading"] = deferred
    shown: dict[str, Any] = {"type": "function", "function": printed}
    if outer is not None:
        shown["defer_loading"] = outer
    return shown
