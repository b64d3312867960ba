"""Chunks of text: prefixes match, nothing crosses a border, counts learn."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizer_cache.random_chats import body_of, messages
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.conversation import Room
from tokenizer_cache.text import TextEncoder


def make(room: Room | None = None) -> TextEncoder:
    return TextEncoder("sglang", 4, b"secret", room)


def chat(*contents: str, **fields: Any) -> Request:
    return parse("chat", body_of([{"role": "user", "content": content} for content in contents], **fields))


def common(one: bytes, other: bytes) -> int:
    blocks = [one[place : place + 8] == other[place : place + 8] for place in range(0, min(len(one), len(other)), 8)]
    return [*blocks, False].index(False)


@given(st.lists(messages(), min_size=1, max_size=6), st.lists(messages(), max_size=4))
def test_what_is_remembered_changes_no_chain(start: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    encoder = make()
    first = encoder.recognise(parse("chat", body_of(start)))
    grown = encoder.recognise(parse("chat", body_of(start + more)))
    assert grown == make().recognise(parse("chat", body_of(start + more)))
    assert grown.chain.startswith(first.chain)
    assert encoder.recognise(parse("chat", body_of(start))) == first


def test_it_never_claims_to_be_exact() -> None:
    encoder, request = make(), chat("hello " * 30)
    prompt = encoder.recognise(request)
    assert (prompt.exact, prompt.source, prompt.known_blocks) == (False, "text", len(prompt.chain) // 8)
    assert encoder.encode(request) == prompt
    assert encoder.tail_bytes(request) == 0


def test_tools_come_first_and_caches_stay_apart() -> None:
    plain = make().recognise(chat("hello " * 30)).chain
    assert common(plain, make().recognise(chat("hello " * 30, tools=[{"type": "function"}])).chain) == 0
    assert common(plain, make().recognise(chat("hello " * 30, cache_salt="s")).chain) == 0
    assert common(plain, make().recognise(chat("hello " * 30, tool_choice="none")).chain) == len(plain) // 8


def test_a_system_prompt_counts_in_the_other_apis_too() -> None:
    for api, field in (("messages", "system"), ("responses", "instructions")):
        chains = []
        for text in ("one " * 20, "two " * 20):
            body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "input": "x", field: text}
            chains.append(make().recognise(parse(api, json.dumps(body).encode())).chain)
        assert common(*chains) == 0


def test_growing_text_prompts_match() -> None:
    encoder = make()

    def prompt(text: Any) -> bytes:
        return encoder.recognise(parse("completions", json.dumps({"model": "m", "prompt": text}).encode())).chain

    assert prompt("abc " * 30).startswith(prompt("abc " * 20))
    assert prompt(["x", "abc " * 30]) == prompt("abc " * 30)


def test_pictures_do_not_count_by_their_bytes() -> None:
    def picture(data: str) -> Request:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return parse("chat", body_of([{"role": "user", "content": [part]}]))

    one, other = make().recognise(picture("A" * 90_000)), make().recognise(picture("B" * 90_000))
    assert one.tokens < 100
    assert one.chain != other.chain


def test_lengths_are_learned_from_the_engine() -> None:
    encoder = make()
    for _ in range(200):
        request = chat("word " * 400)
        encoder.recognise(request)
        encoder.observe(request, 1000)
    assert abs(encoder.recognise(chat("word " * 400)).tokens - 1000) < 20
    before = encoder.bytes_per_token
    encoder.observe(chat("never recognised"), 5)
    assert encoder.bytes_per_token == before


def test_it_stays_within_its_bound() -> None:
    encoder = make(room=Room(20_000))
    for number in range(100):
        encoder.recognise(chat(f"{number} " * 50))
    assert encoder.conversations.room.size_bytes <= 20_000
    assert encoder.conversations.room.evictions > 0
