"""Requests as SGLang shows them to a template, against recordings of SGLang 0.5.23's own classes.

`golden.jsonl`: a line with the templates and servers, then a line for each body, with what SGLang rendered (and
the text that it put behind the ids) by template, or null where it refused. The templates print all that they are given,
order of keys included.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tokenizer_cache.small import small_raw
from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.templates.render import RENDER_ERRORS, Renderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

FIRST, *LINES = Path(__file__).with_name("golden.jsonl").read_text().splitlines()
SERVERS: dict[str, dict[str, Any]] = json.loads(FIRST)
CASES = [json.loads(line) for line in LINES]


@cache
def renderer(name: str) -> Renderer:
    server = SERVERS[name]
    served = Served(
        engine="sglang", reasoning_parser=server["reasoning_parser"], default_kwargs=server["default_kwargs"]
    )
    return Renderer(Tokenizer(small_raw(), server["source"], {}).served_by(served))


def rendered(name: str, api: str, body: dict[str, Any]) -> list[str] | None:
    try:
        call = renderer(name).call(api, body)
        return [renderer(name).full(call), call.suffix]
    except (NotExact, *RENDER_ERRORS):
        return None


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("api", ["chat", "messages", "responses"])
def test_prompts_equal_what_sglang_rendered(name: str, api: str) -> None:
    cases = [case for case in CASES if case["api"] == api and name in case]
    assert len(cases) > 4
    untried = object()
    for case in cases:
        before = json.dumps(case["body"])
        if case["body"].get("reasoning_effort") == 0.5:
            assert rendered(name, api, case["body"]) is None  # allowed there, and not followed here
            continue
        assert (rendered(name, api, case["body"]), case.get(name, untried)) == (case[name], case[name])
        assert json.dumps(case["body"]) == before


@pytest.mark.parametrize(
    "given", ['{"a": 1e999}', '{"a": NaN}', '{"a": "\\ud83d"}', f'{{"a": {2**64}}}', "[1]", "", "{"]
)
def test_arguments_that_sglang_refuses_or_reads_otherwise_are_not_followed(given: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": given}}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    assert rendered("echo", "chat", {"messages": [*messages, {"role": "user", "content": "b"}]}) is None


@pytest.mark.parametrize("given", ['{"a": "C:\\\\udata"}', '{"a": "\\ud83d\\ude00"}', f'{{"a": {2**64 - 1}}}', "{}"])
def test_arguments_that_look_odd_and_are_fine(given: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": given}}
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    found = rendered("echo", "chat", {"messages": [*messages, {"role": "user", "content": "b"}]})
    assert found is not None
    assert json.loads(found[0].splitlines()[1])["tool_calls"][0]["function"]["arguments"] == json.loads(given)


def test_type_names_that_sglang_rewrites_are_not_followed() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "varchar(9)"}}}}}
    with pytest.raises(NotExact, match="tool"):
        renderer("echo").call("chat", {"messages": [{"role": "user", "content": "a"}], "tools": [tool]})


@pytest.mark.parametrize(("source", "content"), [("{{ 'image' }}", "openai"), ("{{ messages[0].content }}", "string")])
def test_the_content_format_goes_by_words(source: str, content: str) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    made = Renderer(Tokenizer(small_raw(), source, {}).served_by(Served(engine="sglang")))
    shown = made.messages("chat", [{"role": "user", "content": parts}])[0]["content"]
    assert shown == (parts if content == "openai" else "a b")
