"""Shapes, stand-ins and the clock; that texts are exact is test_encoder_exact's affair."""

import random
from typing import Any

import msgspec
import pytest

from tests.tokenizer_cache.small import TEMPLATES, small, small_raw
from tokenizer_cache.rules import NotExact, Served, TemplateCall
from tokenizer_cache.templates.render import (
    Renderer,
    arguments_key,
    condensed,
    kinds_of,
    prototype,
    renderer_of,
)
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}}
TOOL = {"type": "function", "function": {"name": "f"}}


def turns(kinds: str) -> list[dict[str, Any]]:
    by_kind: dict[str, dict[str, Any]] = {
        "s": {"role": "system", "content": "s"},
        "u": {"role": "user", "content": "u"},
        "a": {"role": "assistant", "content": "a"},
        "c": {"role": "assistant", "content": "", "tool_calls": [CALL]},
        "t": {"role": "tool", "content": "t"},
    }
    return [by_kind[kind] for kind in kinds]


@pytest.mark.parametrize(
    ("kinds", "shape"),
    [
        ("u", "u"),
        ("suau", "suau"),
        ("suauauau", "suau"),
        ("uctctctct", "uct"),
        ("ucttct", "uct"),
        ("uctauctau", "uctau"),
        ("sucttau", "suctau"),
    ],
)
def test_repeated_runs_are_condensed(kinds: str, shape: str) -> None:
    assert kinds_of(turns(kinds)) == kinds
    assert condensed(kinds) == shape
    for cut in range(len(kinds)):
        assert condensed(kinds[cut:], condensed(kinds[:cut]) or "") == shape


def test_an_endlessly_varied_shape_is_none() -> None:
    rng = random.Random(1)
    assert any(condensed("".join(rng.choices("suact", k=400))) is None for _ in range(20))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "a", "reasoning": "r"},
        {"role": "assistant", "content": "<think>x</think>a"},
        {"role": "assistant", "content": [{"type": "text", "text": "</think>"}]},
        {"role": "user", "content": "<tool_response>x</tool_response>"},
        {"role": "observer", "content": "x"},
    ],
)
def test_messages_that_look_around_have_no_shape(message: dict[str, Any]) -> None:
    assert kinds_of([message]) is None


def test_thinking_as_a_word_is_no_reasoning() -> None:
    assert kinds_of([{"role": "assistant", "content": "I think that <b>reasoning</b> is thought"}]) == "a"


def call_of(renderer: Renderer, body: dict[str, Any]) -> TemplateCall:
    return renderer.call("chat", {"messages": turns("u"), **body})


def test_a_stand_in_ends_where_its_messages_end() -> None:
    renderer = Renderer(small("chatml"))
    call = call_of(renderer, {"tools": [TOOL]})
    stand_in = renderer.stand_in("su", prototype(call), arguments_key(call, b""))
    assert stand_in is not None
    assert stand_in.closed.endswith("<|im_start|>user\nu<|im_end|>\n")
    assert stand_in.generation == "<|im_start|>assistant\n"
    assert stand_in.cut_token == "<|im_end|>"
    after = renderer.after(stand_in, turns("au"), prototype(call))
    assert after == "<|im_start|>assistant\na<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"


def test_no_stand_in_where_the_template_refuses_and_no_tail_where_it_joins() -> None:
    gemma, chatml = Renderer(small("gemma")), Renderer(small("chatml"))
    call = prototype(call_of(gemma, {}))
    assert gemma.stand_in("uu", call, arguments_key(call, b"")) is None
    call = prototype(call_of(chatml, {}))
    stand_in = chatml.stand_in("uct", call, arguments_key(call, b""))
    assert stand_in is not None
    assert chatml.after(stand_in, turns("t"), call) is None


def test_arguments_tell_renderings_apart() -> None:
    renderer = Renderer(small("chatml"))
    plain = call_of(renderer, {})
    thinking = call_of(renderer, {"chat_template_kwargs": {"enable_thinking": False}})
    with_tools = call_of(renderer, {"tools": [TOOL]})
    keys = {arguments_key(call, day) for call in (plain, thinking, with_tools) for day in (b"1", b"2")}
    assert len(keys) == 6
    assert arguments_key(prototype(plain), b"") == arguments_key(plain, b"")


USES = (
    "message.content",
    "message.content | trim",
    "message.content | tojson",
    "message.content | upper",
    "message.content | length",
    "message.content[:20]",
    "message.content.split('\\n')[0]",
    "message.content.split('<cut>')[-1]",
    "message.content | replace('\\n', ' ')",
    "'no' if 'q' in message.content else message.content",
    "message.content is string",
)


@pytest.mark.parametrize("use", USES)
def test_a_tail_is_what_the_template_does_with_its_texts(use: str) -> None:
    source = "{% for message in messages %}<|im_start|>" + "{{ " + use + " }}<|im_end|>{% endfor %}"
    renderer = Renderer(Tokenizer(small_raw(), source, {}))
    call = call_of(renderer, {})
    stand_in = renderer.stand_in("u", prototype(call), arguments_key(call, b""))
    assert stand_in is not None
    for content in ("ok", "plain words", 'a "q" \\ \n b', "long " * 50 + "end", "é 中", " padded ", "a<cut>b", "", "k"):
        messages = [{"role": "assistant", "content": "go"}, {"role": "tool", "content": content}]
        whole = renderer.full(msgspec.structs.replace(call, messages=turns("u") + messages))
        assert renderer.after(stand_in, messages, prototype(call)) == whole[len(stand_in.closed) :]


def clocked(form: str) -> Renderer:
    source = "{{ strftime_now(" + form + ") }}" + TEMPLATES["chatml"]
    return Renderer(Tokenizer(small_raw(), source, {}))


def test_a_template_that_prints_the_date_is_another_one_every_day() -> None:
    daily = clocked("'%d %b %Y'")
    assert daily.day()
    assert not daily.changes_by_the_minute
    assert Renderer(small("chatml")).day() == b""


@pytest.mark.parametrize("form", ["'%H:%M'", "'%c'", "messages[0].content"])
def test_a_template_that_prints_the_time_is_never_trusted(form: str) -> None:
    assert clocked(form).changes_by_the_minute


def test_another_template_for_tools_is_not_guessed() -> None:
    renderer = Renderer(Tokenizer(small_raw(), TEMPLATES["chatml"], {}, has_tool_template=True))
    assert call_of(renderer, {}).messages
    with pytest.raises(NotExact):
        call_of(renderer, {"tools": [TOOL]})


def test_continuing_a_message_is_as_transformers_does_it() -> None:
    renderer = Renderer(small("llama"))
    call = call_of(renderer, {"messages": turns("ua"), "add_generation_prompt": False, "continue_final_message": True})
    assert renderer.full(call).endswith("<|start_header_id|>assistant<|end_header_id|>\n\na")
    assert renderer.full(msgspec.structs.replace(call, continue_final_message=False)).endswith("a<|eot_id|>")


def test_thoughts_are_not_followed_where_only_some_engines_show_them() -> None:
    source = "{% for m in messages %}{{ m.thinking }}{{ m.content }}{% endfor %}"
    renderer = Renderer(small("chatml").with_template(source))
    said = {"role": "assistant", "content": "b"}
    assert renderer.call("chat", {"messages": [said]}).messages[0]["content"] == "b"
    with pytest.raises(NotExact, match="reasoning"):
        renderer.call("chat", {"messages": [{**said, "reasoning": "hm"}]})


def test_a_tokenizer_has_one_renderer_and_its_copies_have_their_own() -> None:
    tokenizer = small("chatml")
    own = renderer_of(tokenizer)
    assert renderer_of(tokenizer) is own
    for other in (tokenizer.served_by(Served(engine="sglang")), tokenizer.with_template(TEMPLATES["llama"])):
        assert renderer_of(other) is not own
    assert renderer_of(tokenizer) is own
