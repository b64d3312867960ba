"""The one property that matters: whatever was encoded before, ids equal those of one uncached encode."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.tokenizer_cache.random_chats import TOOLS, body_of, messages
from tests.tokenizer_cache.small import BOS, TEMPLATES, small, small_raw
from tokenizer_cache.bodies.identity import scope_key
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.encoder import PromptEncoder
from tokenizer_cache.prompt import Prompt
from tokenizer_cache.rules import NotExact
from tokenizer_cache.templates.render import RENDER_ERRORS
from tokenizer_cache.vllm.inputs import template_call
from tokenizer_cache.vllm.template import template_format

pytestmark = pytest.mark.slow

BLOCK = 4
SECRET = b"a secret of the tests"


class Uncached:
    """One family's ids by transformers alone."""

    def __init__(self, family: str) -> None:
        make_tokenizer: Any = PreTrainedTokenizerFast
        self._tokenizer: Any = make_tokenizer(
            tokenizer_object=small_raw(), bos_token=BOS.get(family, "<|endoftext|>"), chat_template=TEMPLATES[family]
        )
        self._format = template_format(TEMPLATES[family], self._tokenizer.special_tokens_map)

    def ids(self, api: str, body: bytes) -> list[int] | None:
        try:
            call = template_call(api, json.loads(body), self._format)
            ids = self._tokenizer.apply_chat_template(
                call.messages,
                tools=call.tools,
                add_generation_prompt=call.add_generation_prompt,
                continue_final_message=call.continue_final_message,
                tokenize=True,
                return_dict=False,
                **call.kwargs,
            )
        except (NotExact, *RENDER_ERRORS):
            return None
        return list(ids)


def check(encoder: PromptEncoder, uncached: Uncached, body: bytes, api: str = "chat") -> Prompt:
    """Recognise and encode one request, against the truth."""
    request = parse(api, body)
    known = encoder.recognise(request)
    retracted = encoder.counters.retracted
    prompt = encoder.encode(request)
    ids = uncached.ids(api, body)
    if ids is None:
        assert not prompt.exact
        return prompt
    chain = Chain(BLOCK * 4, SECRET)
    expected, _ = chain.extend(chain.root(scope_key("test", request.fields)), b"", pack(ids))
    assert prompt.exact
    assert prompt.tokens == len(ids)
    assert prompt.chain == expected
    assert prompt.ids == pack(ids)
    if encoder.counters.retracted == retracted:
        assert known.chain[: 8 * known.known_blocks] == expected[: 8 * known.known_blocks]
    return prompt


def make(family: str) -> PromptEncoder:
    encoder = PromptEncoder("test", small(family), BLOCK, SECRET, room=Room(1 << 20))
    encoder.keep_ids()
    return encoder


@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_ids_equal_those_of_an_uncached_encode(family: str, data: st.DataObject) -> None:
    encoder, uncached = make(family), Uncached(family)
    conversation: list[dict[str, Any]] = []
    others: list[list[dict[str, Any]]] = [[]]
    tools = data.draw(st.sampled_from([None, TOOLS]))
    for _ in range(data.draw(st.integers(1, 14))):
        step = data.draw(st.sampled_from(["grow", "grow", "grow", "grow", "cut", "edit", "fork", "again"]))
        if step == "grow" or not conversation:
            conversation = conversation + data.draw(st.lists(messages(), min_size=1, max_size=4))
        elif step == "cut":
            conversation = conversation[: data.draw(st.integers(1, len(conversation)))]
        elif step == "edit":
            conversation = list(conversation)
            conversation[data.draw(st.integers(0, len(conversation) - 1))] = data.draw(messages())
        elif step == "fork":
            conversation = list(data.draw(st.sampled_from(others))) or conversation
        others.append(conversation)
        fields: dict[str, Any] = {"tools": tools} if tools else {}
        if data.draw(st.integers(0, 9)) == 0:
            fields["chat_template_kwargs"] = {"enable_thinking": False}
        if data.draw(st.integers(0, 19)) == 0:
            fields.update(add_generation_prompt=False, continue_final_message=data.draw(st.booleans()))
        check(encoder, uncached, body_of(conversation, **fields))


ORDINARY = ("read the file", "hello world", "é 中文", "write a test\n", "<|im_end|> typed", " a b ")


@pytest.mark.parametrize("family", TEMPLATES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_ordinary_agents_stay_exact_over_many_turns(family: str, data: st.DataObject) -> None:
    encoder, uncached = make(family), Uncached(family)
    text = st.sampled_from(ORDINARY)
    conversation: list[dict[str, Any]] = [{"role": "system", "content": "You are an agent."}]
    conversation.append({"role": "user", "content": data.draw(text)})
    for _ in range(data.draw(st.integers(4, 16))):
        check(encoder, uncached, body_of(conversation, tools=TOOLS))
        if data.draw(st.booleans()) and family != "gemma":
            count = data.draw(st.integers(1, 3))
            call = {"type": "function", "function": {"name": "read", "arguments": '{"path": "x"}'}}
            made = [{"id": f"call{place:05}", **call} for place in range(count)]
            conversation.append({"role": "assistant", "content": data.draw(text), "tool_calls": made})
            for one in made:
                conversation.append({"role": "tool", "tool_call_id": one["id"], "content": data.draw(text)})
        else:
            conversation.append({"role": "assistant", "content": data.draw(text)})
            conversation.append({"role": "user", "content": data.draw(text)})


@pytest.mark.parametrize(("family", "tails"), [("chatml", True), ("llama", True), ("forgetful", False)])
def test_a_growing_conversation_takes_the_tail_way_where_the_template_allows(family: str, tails: bool) -> None:
    encoder, uncached = make(family), Uncached(family)
    conversation: list[dict[str, Any]] = [{"role": "user", "content": "read the file"}]
    call = {"id": "call00000", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    for turn in range(30):
        check(encoder, uncached, body_of(conversation))
        conversation.append({"role": "assistant", "content": f"turn {turn}", "tool_calls": [call]})
        conversation.append({"role": "tool", "tool_call_id": "call00000", "content": f"line {turn}"})
    if tails:
        assert encoder.counters.hits == {"cold": 1, "tail": 29}
        assert encoder.counters.failed == 0
    else:
        assert encoder.counters.hits["tail"] == 0
        assert encoder.counters.failed > 0


@pytest.mark.parametrize("family", ["chatml", "llama", "deepseek"])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_anthropic_conversations_stay_exact_too(family: str, data: st.DataObject) -> None:
    encoder, uncached = make(family), Uncached(family)
    text = st.sampled_from(ORDINARY)
    conversation: list[dict[str, Any]] = [{"role": "user", "content": data.draw(text)}]
    tools = [{"name": "read", "description": "d", "input_schema": {"type": "object"}}]
    for turn in range(data.draw(st.integers(4, 14))):
        body = {"model": "m", "max_tokens": 9, "messages": conversation, "system": "You code.", "tools": tools}
        check(encoder, uncached, json.dumps(body).encode(), "messages")
        thinks = data.draw(st.integers(0, 9)) == 0
        thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}] if thinks else []
        said = [{"type": "text", "text": data.draw(text)}] if data.draw(st.booleans()) else []
        call = {"type": "tool_use", "id": f"t{turn}", "name": "read", "input": {"path": data.draw(text)}}
        conversation.append({"role": "assistant", "content": [*thought, *said, call]})
        result = {"type": "tool_result", "tool_use_id": f"t{turn}", "content": data.draw(text)}
        more = [{"type": "text", "text": data.draw(text)}] if data.draw(st.booleans()) else []
        conversation.append({"role": "user", "content": [result, *more]})


def test_a_result_without_its_call_is_rendered_in_full() -> None:
    """A template may look for the call: clients with ids that are nowhere must not earn trust for all others."""
    encoder, uncached = make("llama"), Uncached("llama")
    call = {"id": "call00000", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    conversation: list[dict[str, Any]] = [{"role": "user", "content": "read the file"}]
    conversation.append({"role": "assistant", "content": "so", "tool_calls": [call, {**call, "id": "call00001"}]})
    for place in range(2):
        conversation.append({"role": "tool", "tool_call_id": f"call0000{place}", "content": "lines"})
        check(encoder, uncached, body_of(conversation))
    assert encoder.counters.hits["tail"] == 0
