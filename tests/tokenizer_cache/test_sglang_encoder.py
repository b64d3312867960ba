"""An SGLang conversation through the incremental encoder, against one uncached rendering and encode."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tokenizer_cache.random_chats import TOOLS, body_of, messages
from tests.tokenizer_cache.small import TEMPLATES, small
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.rules import NotExact, Served
from tokenizer_cache.templates.render import RENDER_ERRORS, Renderer
from tokenizer_cache.tokenizers.tokenizer import Tokenizer

pytestmark = pytest.mark.slow

BLOCK, SECRET = 2, b"s"
SGLANG = Served(engine="sglang")
USER: dict[str, Any] = {"role": "user", "content": "read the file"}
CALLED: dict[str, Any] = {"role": "tool", "content": "lines", "tool_call_id": "c"}
CALLS = [{"id": "c", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}]


def uncached(tokenizer: Tokenizer, body: bytes) -> list[int] | None:
    renderer = Renderer(tokenizer)
    try:
        call = renderer.call("chat", json.loads(body))
        ids = tokenizer.encode(renderer.full(call))
    except (NotExact, *RENDER_ERRORS):
        return None
    return ids + (tokenizer.encode(call.suffix, True) if call.suffix else [])


def check(encoder: PromptEncoder, tokenizer: Tokenizer, body: bytes) -> None:
    request = parse("chat", body)
    encoder.recognise(request)
    prompt, ids = encoder.encode(request), uncached(tokenizer, body)
    if ids is None:
        assert not prompt.exact
        return
    chain = Chain(BLOCK * 4, SECRET)
    expected, _ = chain.extend(chain.root(scope_key("test", request.fields)), b"", pack(ids))
    assert (prompt.exact, prompt.tokens, prompt.chain) == (True, len(ids), expected)


def make(family: str) -> tuple[PromptEncoder, Tokenizer]:
    tokenizer = small(family).served_by(SGLANG)
    return PromptEncoder("test", tokenizer, BLOCK, SECRET, room=Room(1 << 20)), tokenizer


@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_conversations_of_any_shape_stay_exact(family: str, data: st.DataObject) -> None:
    encoder, tokenizer = make(family)
    conversation: list[dict[str, Any]] = []
    for _ in range(data.draw(st.integers(2, 10))):
        if conversation and data.draw(st.integers(0, 4)) == 0:
            conversation = conversation[: data.draw(st.integers(1, len(conversation)))]
        conversation = conversation + data.draw(st.lists(messages(), min_size=1, max_size=3))
        fields: dict[str, Any] = {"tools": TOOLS} if data.draw(st.booleans()) else {}
        if data.draw(st.integers(0, 4)) == 0:
            fields["continue_final_message"] = True
        check(encoder, tokenizer, body_of(conversation, **fields))


def test_an_assistant_s_last_word_is_the_user_s_until_others_follow() -> None:
    encoder, tokenizer = make("chatml")
    conversation: list[dict[str, Any]] = [USER, {"role": "assistant", "content": "half a"}]
    called: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": CALLS}
    nothing: list[dict[str, Any]] = []
    for more in (nothing, [USER], [called, CALLED], [USER]):
        conversation = conversation + more
        for _ in range(5):  # more than it takes to trust a tail
            check(encoder, tokenizer, body_of(conversation))


def test_turns_of_an_agent_take_the_tail_way() -> None:
    encoder, tokenizer = make("chatml")
    conversation: list[dict[str, Any]] = [{"role": "system", "content": "You code."}, USER]
    for turn in range(12):
        check(encoder, tokenizer, body_of(conversation, tools=TOOLS))
        said = {"role": "assistant", "content": f"turn {turn}", "tool_calls": CALLS}
        conversation += [said, CALLED]
    assert encoder.counters.hits == {"cold": 1, "tail": 11}


def test_tool_choices_do_not_share_what_they_know() -> None:
    encoder, tokenizer = make("chatml")
    named = {"type": "function", "function": {"name": "read"}}
    for choice in ("auto", "none", named, "required", "none"):
        check(encoder, tokenizer, body_of([USER], tools=[*TOOLS, *TOOLS], tool_choice=choice))


def test_completions_always_get_special_tokens() -> None:
    encoder, _ = make("llama")
    body = {"model": "m", "prompt": "hello", "add_special_tokens": False}
    assert encoder.encode(parse("completions", json.dumps(body).encode())).exact


def test_a_server_with_a_completion_template_is_not_followed() -> None:
    tokenizer = small("llama").served_by(Served(engine="sglang", completions_exact=False))
    encoder = PromptEncoder("test", tokenizer, BLOCK, SECRET)
    assert not encoder.encode(parse("completions", b'{"model":"m","prompt":"hello"}')).exact
    assert encoder.counters.inexact == {"template": 1}


def test_a_tokenizer_for_one_server_leaves_the_other_alone() -> None:
    plain = small("chatml")
    other = plain.served_by(Served(engine="sglang", not_exact="not_plain_jinja"))
    assert (plain.not_exact, other.not_exact) == (None, "not_plain_jinja")
    assert plain.served.engine == "vllm"
