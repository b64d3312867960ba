"""Bodies that differ from one another anywhere, little enough that a careless identity takes one for the other."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

BILLING = "x-anthropic-billing-header: cc_version=2.1; cch="
MARK = {"type": "ephemeral"}
TEXTS = (
    "read the file",
    BILLING + "a",
    BILLING + "b\nYou code.",
    "say " + BILLING + "a",
    f'say "{BILLING}a"',
    f'say "{BILLING}b"',
    f'\\"{BILLING}a\\" and \\',
    '{"a": 1, "cache_control": {"type": "ephemeral"}}',
    '","cache_control":{"type":"ephemeral"}}]}',
    "",
    "a\0b",
    "é \ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16"),
)
VALUES: tuple[Any, ...] = (None, 1, 1.0, True, "", "1", [], {}, [None], 10**20, -0.0, *TEXTS)
TOP: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (None, True, False),
    "continue_final_message": (None, True, False),
    "add_special_tokens": (None, True, False),
    "chat_template_kwargs": (None, {}, {"enable_thinking": False}, {"enable_thinking": True}, {"add": 1}),
    "reasoning_effort": (None, "low", "none"),
    "reasoning": (None, {"effort": "none"}, {"effort": "low", "enabled": True}),
    "late_effort": (True, None),
    "tool_choice": (None, "none", "auto", {"type": "none"}),
    "thinking": (None, {"type": "disabled"}, {"type": "enabled", "budget_tokens": 2000}),
    "output_config": (None, {"effort": "low"}, {"effort": "high"}),
    "truncation": (None, "auto", "disabled"),
    "truncate_prompt_tokens": (None, 3),
    "previous_response_id": (None, "", "resp_1"),
    "prompt": (None, {"id": "p"}),
    "documents": (None, [], [{"text": "x"}]),
    "instructions": (None, "", *TEXTS),
    "system": (None, "", [], *TEXTS),
    "tools": (None, []),
    "kv_transfer_params": (None, {}, {"do_remote_decode": True}),
    "echo": (None, True),
    "metadata": ({"user_id": "a"}, {"user_id": "b"}),
    "temperature": (0, 1.0),
    "service_tier": ("auto",),
}
"""Fields that some engine reads in some API, and some that none reads."""


def _schema(name: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": f'of "{BILLING}a" kind', "default": {"cache_control": MARK}}}
    return {"type": "object", "properties": properties, "required": [name]}


SYSTEM_BLOCKS = [{"type": "text", "text": BILLING + "0"}, {"type": "text", "text": "You code."}]


def _conversation(turns: int) -> list[dict[str, Any]]:
    """Of Anthropic's API."""
    said: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]
    for turn in range(turns):
        asked = {"path": "a.py", "deep": [{"n": 1, "cache_control": MARK}], "cache_control": MARK}
        call = {"type": "tool_use", "id": f"c{turn}", "name": "read", "input": asked}
        said.append({"role": "assistant", "content": [{"type": "text", "text": "so"}, call]})
        result = [{"type": "text", "text": "its lines"}]
        said.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"c{turn}", "content": result}]}
        )
    return said


def _chat(turns: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [{"role": "system", "content": "You code."}, {"role": "user", "content": "hello"}]
    for turn in range(turns):
        asked: Any = {"path": "a.py", "cache_control": MARK} if turn % 2 else '{"path": "a.py", "n": 1.0}'
        call = {"id": f"c{turn}", "type": "function", "function": {"name": "read", "arguments": asked}}
        said.append({"role": "assistant", "content": "so", "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"c{turn}", "content": [{"type": "text", "text": "its lines"}]})
    return said


def _input(turns: int) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    for turn in range(turns):
        asked = json.dumps({"path": "a.py", "cache_control": MARK})
        said.append({"type": "function_call", "call_id": f"c{turn}", "name": "read", "arguments": asked})
        said.append({"type": "function_call_output", "call_id": f"c{turn}", "output": "its lines"})
    return said


def base(api: str, turns: int) -> dict[str, Any]:
    """An agent's request after so many turns."""
    if api == "completions":
        return {"model": "m", "prompt": ["hello world", "read\0the file"][: 1 + turns % 2]}
    tool = {"name": "read", "description": "Reads.", "parameters": _schema("path")}
    if api == "messages":
        tool = {"name": "read", "description": "Reads.", "input_schema": _schema("path")}
        return {
            "model": "m",
            "max_tokens": 9,
            "messages": _conversation(turns),
            "system": SYSTEM_BLOCKS,
            "tools": [tool],
        }
    if api == "responses":
        return {
            "model": "m",
            "input": _input(turns),
            "instructions": "You code.",
            "tools": [{"type": "function", **tool}],
        }
    return {"model": "m", "messages": _chat(turns), "tools": [{"type": "function", "function": tool}]}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a body with every key into it."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def _one_of(draw: st.DrawFn, values: Sequence[Any]) -> Any:
    """A copy: the next change of the body may be made inside it, and must not reach other bodies."""
    return copy.deepcopy(draw(st.sampled_from(values)))


def _replace(draw: st.DrawFn, holder: Any, key: Any) -> None:
    holder[key] = _one_of(draw, TEXTS if isinstance(holder[key], str) else VALUES)


def _mark(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder["cache_control"] = _one_of(draw, [MARK, {**MARK, "ttl": "1h"}, {"type": "other"}, None])


def _unmark(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder.pop("cache_control", None)


def _drop(draw: st.DrawFn, holder: Any, key: Any) -> None:
    del holder[key]


def _twice(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:  # see `written`
        holder[f"twice {key}"] = draw(st.sampled_from([None, *TEXTS]))


def _reorder(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = holder.pop(key)
    else:
        holder.reverse()


def _wrap(draw: st.DrawFn, holder: Any, key: Any) -> None:
    value = holder[key]
    holder[key] = value[0] if isinstance(value, list) and len(value) == 1 else [value]


def _bill(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, {"type": "text", "text": BILLING + draw(st.sampled_from("ab"))})


MUTATIONS: tuple[Callable[[st.DrawFn, Any, Any], None], ...] = (
    _replace,
    _replace,
    _mark,
    _mark,
    _unmark,
    _drop,
    _twice,
    _reorder,
    _wrap,
    _bill,
)


def written(body: dict[str, Any], compact: bool, escaped: bool) -> bytes:
    """As JSON, with names that come twice."""
    text = json.dumps(body, ensure_ascii=escaped, separators=(",", ":") if compact else None)
    return text.replace('"twice ', '"').encode("utf-8", "replace")


@st.composite
def variants(draw: st.DrawFn, api: str) -> bytes:
    """A request of an agent, changed in a place or two."""
    body = copy.deepcopy(base(api, draw(st.sampled_from([0, 1, 1, 2, 3]))))
    if api != "completions" and draw(st.booleans()):
        body["padding"] = "x" * (17 << 10)  # long enough to be recognised by its bytes
        body = {"padding": body.pop("padding"), **body}
    for _ in range(draw(st.integers(0, 2))):
        if draw(st.integers(0, 3)) == 0:
            name = draw(st.sampled_from(sorted(TOP)))
            body[name] = _one_of(draw, TOP[name])
            continue
        spots = [(holder, key) for holder, key in places(body) if key not in ("model", "padding")]
        if spots:
            draw(st.sampled_from(MUTATIONS))(draw, *draw(st.sampled_from(spots)))
    return written(body, draw(st.booleans()), draw(st.integers(0, 3)) == 0)
