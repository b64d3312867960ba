"""Two bodies of one identity have one prompt: whatever was seen before, ids are those of a fresh encoder."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tokenizer_cache.small import CHATML, small
from tests.tokenizer_cache.variants import BILLING, variants
from tokenizer_cache.bodies.reader import Reader
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.conversations.keyed import KeyedHash
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import BadRequest, Prompt
from tokenizer_cache.rules import Served

SECRET = b"a secret of the tests"
APIS = ("chat", "messages", "responses", "completions")
TELLS_ALL = """\
{%- if tools %}{{- '<|im_start|>tools\\n' + (tools | tojson) + '<|im_end|>\\n' }}{%- endif %}
{{- enable_thinking }}{{- reasoning_effort }}{{- documents }}{{- thinking }}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}{{- message | tojson }}{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
"""No model's: shows all that an engine gives to a template."""
WANTS_PARTS = TELLS_ALL + "{%- for message in messages %}{%- for part in message.content %}{%- endfor %}{%- endfor %}"
TEMPLATES = {"chatml": CHATML, "tells all": TELLS_ALL, "wants parts": WANTS_PARTS}


def make(engine: str, template: str) -> PromptEncoder:
    tokenizer = small("chatml").with_template(TEMPLATES[template])
    served = Served(engine=engine, reasoning_parser="qwen3" if engine == "sglang" else "")
    encoder = PromptEncoder("test", tokenizer.served_by(served), 4, SECRET, room=Room(1 << 22))
    encoder.keep_ids()
    return encoder


def uncached(engine: str, template: str, request: Any) -> tuple[Any, ...]:
    return said(make(engine, template).encode(request))


def read(reader: Any, api: str, body: bytes) -> Any:
    try:
        return reader(api, body)
    except BadRequest:
        return None


def said(prompt: Prompt) -> tuple[Any, ...]:
    return (True, prompt.tokens, prompt.ids, prompt.chain) if prompt.exact else (False,)


def check_both_ways(engine: str, template: str, api: str, bodies: list[bytes]) -> None:
    """Encode the bodies one after the other, and again in the opposite order, by an encoder that saw the others."""
    truth = {}
    for body in bodies:
        request = read(parse, api, body)
        truth[body] = uncached(engine, template, request) if request is not None else None
    for order in (bodies, bodies[::-1]):
        encoder, reader = make(engine, template), Reader(1 << 22, KeyedHash(SECRET))
        for body in order * 2:
            request = read(reader.parse, api, body)
            assert (request is None) == (truth[body] is None)
            if request is None:
                continue
            known = encoder.recognise(request)
            assert not known.exact or said(known) == truth[body]
            assert said(encoder.encode(request)) == truth[body]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_equal_identities_have_equal_ids(engine: str, api: str, template: str, data: st.DataObject) -> None:
    check_both_ways(engine, template, api, data.draw(st.lists(variants(api), min_size=2, max_size=6)))


USER = {"role": "user", "content": "hi"}
MARK = {"cache_control": {"type": "ephemeral"}}
SALTED = {"type": "text", "text": "You code."}


def _tool(text: str) -> dict[str, Any]:
    return {"name": "read", "description": text, "input_schema": {"type": "object"}}


def _called(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": arguments}}
    return [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c"} | USER,
    ]


def _used(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "read", **block}]}, USER]


def _body(api: str, fields: dict[str, Any]) -> bytes:
    given = {} if api == "completions" else {"input": "hi"} if api == "responses" else {"messages": [USER]}
    return json.dumps({"model": "m", "max_tokens": 9, **given, **fields}).encode()


def _named(name: str) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": name}}]}


def _said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


ALIKE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("messages", {"system": BILLING + "a"}, {"system": BILLING + "b"}),
    ("messages", {"system": [_said(BILLING + "a")]}, {"system": []}),
    ("messages", {"system": [_said(BILLING + "a"), SALTED]}, {"system": [SALTED]}),
    ("messages", {"system": [_said(f'"{BILLING}a')]}, {"system": [_said(f'"{BILLING}b')]}),
    ("messages", {"tools": [_tool(BILLING + "a")]}, {"tools": [_tool(BILLING + "b")]}),
    ("messages", {"tools": [_tool(f'say "{BILLING}a"')]}, {"tools": [_tool(f'say "{BILLING}b"')]}),
    ("messages", {"messages": _used({"input": {"a": 1}})}, {"messages": _used({"input": {"a": 1, **MARK}})}),
    ("messages", {"messages": _used({"input": {"a": 1}})}, {"messages": _used({"input": {"a": 1}, **MARK})}),
    ("chat", {"messages": _called({"a": 1})}, {"messages": _called({"a": 1, **MARK})}),
    ("chat", {"messages": _called({"a": [{"b": 1}]})}, {"messages": _called({"a": [{"b": 1, **MARK}]})}),
    ("chat", {"messages": [{**USER, "content": [SALTED]}]}, {"messages": [{**USER, "content": [SALTED | MARK]}]}),
    ("chat", _named(BILLING + "a"), _named(BILLING + "b")),
    ("chat", {"reasoning_effort": "none"}, {"reasoning_effort": "none", "late_effort": True}),
    ("chat", {}, {"add_generation_prompt": None}),
    ("chat", {}, {"continue_final_message": None}),
    ("responses", {}, {"truncation": "auto"}),
    ("responses", {}, {"previous_response_id": ""}),
    ("responses", {}, {"input": ["hi"]}),
    ("completions", {"prompt": ["a\0b"]}, {"prompt": ["a", "b"]}),
]
"""Bodies that are easily taken for one another."""


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("api", APIS)
def test_bodies_that_look_alike(api: str, engine: str, template: str) -> None:
    pairs = [(one, other) for of, one, other in ALIKE if of == api]
    bodies = dict.fromkeys(_body(api, fields) for pair in pairs for fields in pair)
    check_both_ways(engine, template, api, list(bodies))
