"""From a request's body to exactly what SGLang gives to the chat template. Facts as of 0.5.23.

The other two APIs become a chat request first (`anthropic.py`, `responses.py`), as SGLang does it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tokenizer_cache.rules import OWN_ARGUMENTS, NotExact, Served, TemplateCall
from tokenizer_cache.sglang import anthropic, responses
from tokenizer_cache.sglang.messages import normalise_messages, tools_of
from tokenizer_cache.sglang.template import SglangFormat, sglang_format

_EFFORTS = frozenset(("none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"))
_REFUSED = OWN_ARGUMENTS | {"add_generation_prompt", "continue_final_message"}


class ChatRequest(msgspec.Struct, frozen=True):
    """A chat request as SGLang has read it, from any of the APIs."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    """The tools as printed, after the tool choice was applied."""
    kwargs: dict[str, Any]
    effort: Any = None
    continues: bool = False


class SglangRules:
    """SGLang's rules for one template."""

    def __init__(self, source: str, special_tokens: Mapping[str, Any], served: Served) -> None:
        self._format = sglang_format(source, special_tokens, served)
        self._wants_parts = self._format.content == "openai"

    def call(self, api: str, body: dict[str, Any]) -> TemplateCall:
        """See Rules."""
        request = self._request(api, body)
        messages, suffix, settled = self._ended(
            normalise_messages(request.messages, self._wants_parts), request.continues
        )
        return TemplateCall(
            messages=messages,
            tools=request.tools,
            kwargs=self._kwargs(request),
            add_generation_prompt=True,
            continue_final_message=False,
            add_special_tokens=False,
            suffix=suffix,
            bare_tools=True,
            settled=settled,
        )

    def messages(self, api: str, items: Sequence[Any]) -> list[dict[str, Any]]:
        """See Rules."""
        turns = anthropic.chat_messages(list(items), self._format) if api == "messages" else list(items)
        return normalise_messages(turns, self._wants_parts)

    def _request(self, api: str, body: dict[str, Any]) -> ChatRequest:
        if api == "messages":
            return _read(anthropic.chat_body(body, self._format), effort_is_late=True)
        if api == "responses":
            return _read(responses.chat_body(body, self._format))
        return _read(body)

    @staticmethod
    def _ended(messages: list[dict[str, Any]], continues: bool) -> tuple[list[dict[str, Any]], str, bool]:
        """A last assistant message of plain text is continued, or else shown as the user's."""
        last = messages[-1]
        if last["role"] != "assistant" or not isinstance(last["content"], str):
            return messages, "", True
        if continues:
            return messages[:-1], last["content"], False
        return [*messages[:-1], {"role": "user", "content": last["content"]}], "", False

    def _kwargs(self, request: ChatRequest) -> dict[str, Any]:
        effort, given = request.effort, {**self._format.served.default_kwargs, **request.kwargs}
        doubtful = effort is not None and "reasoning_effort" in self._format.served.default_kwargs
        if doubtful or (self._format.low_effort and effort == "low"):
            raise NotExact("kwargs")
        return given if effort is None else {"reasoning_effort": effort, **given}


def _read(body: dict[str, Any], effort_is_late: bool = False) -> ChatRequest:
    """Read a chat body. `effort_is_late`: SGLang reads the effort too late for it to change thinking."""
    messages, tools = body.get("messages"), body.get("tools")
    if not isinstance(messages, list) or not messages or body.get("input_ids") is not None:
        raise NotExact("invalid" if body.get("input_ids") is None else "token_ids")
    asked = body.get("chat_template_kwargs")
    if not isinstance(asked, dict | None) or not _REFUSED.isdisjoint(asked or ()):
        raise NotExact("kwargs")
    kwargs = dict(asked or {})
    effort = _effort(body, {} if effort_is_late else kwargs)
    inner = kwargs.pop("reasoning_effort", None)
    continues = body.get("continue_final_message", False)
    if not isinstance(continues, bool):
        raise NotExact("invalid")
    return ChatRequest(
        messages, _chosen(tools, body.get("tool_choice")), kwargs, effort if inner is None else inner, continues
    )


def _effort(body: dict[str, Any], kwargs: dict[str, Any]) -> Any:
    """The effort that the client asked for. Where the client set no template arguments for thinking, the effort sets
    them in `kwargs`."""
    asked, effort, thinks = body.get("reasoning"), body.get("reasoning_effort"), None
    if isinstance(asked, dict):
        named = asked.get("effort")
        named = asked.get("reasoning_effort") if named is None else named
        effort = effort if named is None else named
        enabled = asked.get("enabled")
        enabled = asked.get("enable", False) if enabled is None else enabled
        if not isinstance(enabled, bool):
            raise NotExact("kwargs")
        thinks = True if enabled else None
    if effort is not None:
        if not isinstance(effort, str) or effort not in _EFFORTS:
            raise NotExact("kwargs")
        thinks = effort != "none"
    if thinks is not None:
        kwargs.setdefault("thinking", thinks)
        kwargs.setdefault("enable_thinking", thinks)
    return effort


def _chosen(tools: Any, choice: Any) -> list[dict[str, Any]] | None:
    """The tools that reach the prompt: none for "none", the named one for a named choice."""
    if tools is None:
        return None
    printed = tools_of(tools)
    if choice == "none" or not printed:
        return None
    if choice is None or choice in ("auto", "required"):
        return printed
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    named = [tool for tool in printed if tool["function"]["name"] == name]
    if not named or choice.get("type", "function") != "function":
        raise NotExact("invalid")
    return named


__all__ = ["ChatRequest", "SglangFormat", "SglangRules"]
