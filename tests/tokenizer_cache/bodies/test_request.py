"""Bodies, good and bad."""

import json
from array import array
from typing import Any

import pytest

from tokenizer_cache.bodies.request import parse
from tokenizer_cache.prompt import BadRequest

USER = {"role": "user", "content": "hi"}


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [USER], **fields}).encode()


def completion(prompt: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": prompt, **fields}).encode()


def test_what_routing_needs_of_a_chat() -> None:
    body = chat(stream=True, stream_options={"include_usage": True}, user="u", cache_salt="s", max_completion_tokens=7)
    request = parse("chat", body)
    assert (request.model, request.stream, request.include_usage) == ("m", True, True)
    assert (request.user, request.cache_salt, request.max_tokens) == ("u", "s", 7)
    assert request.body is body
    assert [json.loads(bytes(item)) for item in request.items] == [USER]
    assert request.teachable


def test_absent_and_null_fields_have_defaults() -> None:
    for body in (chat(), chat(stream=None, stream_options=None, user=None, cache_salt=None, max_tokens=None)):
        request = parse("chat", body)
        assert not request.stream
        assert not request.include_usage
        assert (request.user, request.cache_salt, request.max_tokens) == (None, None, None)


def test_what_only_the_worker_judges_passes() -> None:
    request = parse("chat", chat(temperature="hot", max_tokens="many", user=7, tools="none", unknown={"a": [1]}))
    assert request.max_tokens is None
    assert request.user is None


def test_the_last_of_equal_keys_wins_as_in_the_engines() -> None:
    request = parse("chat", b'{"model":"a","messages":[],"messages":[{"role":"user","content":"x"}],"model":"b"}')
    assert request.model == "b"
    assert len(request.items) == 1


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("hello", ["hello"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [array("I", [1, 2]).tobytes()]),
        ([[1], [2, 3]], [array("I", [1]).tobytes(), array("I", [2, 3]).tobytes()]),
    ],
)
def test_the_four_shapes_of_a_prompt(prompt: Any, expected: list[str | bytes]) -> None:
    assert parse("completions", completion(prompt)).prompts == expected


def test_an_embeds_prompt_has_no_prompts_but_an_item() -> None:
    request = parse("completions", json.dumps({"model": "m", "prompt_embeds": "AAAA"}).encode())
    assert request.prompts == []
    assert [bytes(item) for item in request.items] == [b'"AAAA"']


def test_responses_input_is_a_string_or_items() -> None:
    assert len(parse("responses", b'{"model":"m","input":"hi"}').items) == 1
    request = parse("responses", b'{"model":"m","input":[{"role":"user"},{"role":"user"}],"previous_response_id":"r"}')
    assert len(request.items) == 2
    assert request.previous_response_id == "r"
    assert parse("chat", chat()).previous_response_id is None


@pytest.mark.parametrize(
    ("body", "teachable"),
    [
        (completion(["a", "b"]), False),
        (completion("a", prompt_logprobs=1), False),
        (completion("a", echo=True, logprobs=1), False),
        (completion("a", echo=True), True),
        (completion("a", logprobs=1), True),
    ],
)
def test_requests_whose_cached_tokens_say_nothing_do_not_teach(body: bytes, teachable: bool) -> None:
    assert parse("completions", body).teachable is teachable


def test_media_are_seen_and_text_that_quotes_them_is_not() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}
    quoted = {"role": "user", "content": json.dumps(image)}
    assert parse("chat", chat(messages=[USER, image])).has_media
    assert not parse("chat", chat(messages=[USER, quoted])).has_media


def test_equal_bodies_have_equal_digests() -> None:
    assert parse("chat", chat()).digest == parse("chat", chat()).digest
    assert parse("chat", chat()).digest != parse("chat", chat(seed=1)).digest


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("api", "body", "param"),
    [
        ("chat", b"", None),
        ("chat", b"{", None),
        ("chat", b"not json", None),
        ("chat", b'{"model":"m","messages":[]} trailing', None),
        ("chat", b"[]", None),
        ("chat", b'"text"', None),
        ("chat", b"null", None),
        ("chat", b'{"messages":[{}]}', "model"),
        ("chat", b'{"model":"","messages":[{}]}', "model"),
        ("chat", b'{"model":7,"messages":[{}]}', "model"),
        ("chat", b'{"model":null,"messages":[{}]}', "model"),
        ("chat", b'{"model":"m"}', "messages"),
        ("chat", b'{"model":"m","messages":"hi"}', "messages"),
        ("chat", b'{"model":"m","messages":{}}', "messages"),
        ("chat", b'{"model":"m","messages":null}', "messages"),
        ("chat", b'{"model":"m","messages":[]}', "messages"),
        ("chat", b'{"model":"m","messages":[{}],"stream":"yes"}', "stream"),
        ("chat", b'{"model":"m","messages":[{}],"stream":1}', "stream"),
        ("chat", b'{"model":"m","messages":[{}],"stream_options":[]}', "stream_options"),
        ("chat", b'{"model":"m","messages":[{"content":"\xff"}]}', None),
        ("chat", b'{"model":"m","messages":[{"content":"\xed\xa0\x80"}]}', None),
        ("chat", b'{"model":"\\ud800","messages":[{}]}', None),
        ("chat", b'{"model":"m","messages":[{"content":"\\ud83d"}]}', None),
        ("chat", b'{"model":"m","messages":[' + DEEP + b"]}", None),
        ("chat", b'{"model":"m","messages":[{}],"metadata":' + DEEP + b"}", None),
        ("chat", b'\xef\xbb\xbf{"model":"m","messages":[{}]}', None),
        ("chat", b'{"model":"m","messages":[' + b"1," * 100_001 + b"1]}", "messages"),
        ("messages", b'{"model":"m","messages":7}', "messages"),
        ("responses", b'{"model":"m"}', "input"),
        ("responses", b'{"model":"m","input":7}', "input"),
        ("completions", b'{"model":"m"}', "prompt"),
        ("completions", b'{"model":"m","prompt":null}', "prompt"),
        ("completions", b'{"model":"m","prompt":[]}', "prompt"),
        ("completions", b'{"model":"m","prompt":{}}', "prompt"),
        ("completions", b'{"model":"m","prompt":7}', "prompt"),
        ("completions", b'{"model":"m","prompt":["a",1]}', "prompt"),
        ("completions", b'{"model":"m","prompt":[1,"a"]}', "prompt"),
        ("completions", b'{"model":"m","prompt":[1.5]}', "prompt"),
        ("completions", b'{"model":"m","prompt":[-1]}', "prompt"),
        ("completions", b'{"model":"m","prompt":[4294967296]}', "prompt"),
        ("completions", b'{"model":"m","prompt":[true]}', "prompt"),
        ("completions", b'{"model":"m","prompt":"\\udc00"}', None),
        ("completions", b'{"model":"m","prompt":[' + b'"a",' * 4096 + b'"a"]}', "prompt"),
    ],
)
def test_bad_bodies_are_refused_with_the_parameters_name(api: str, body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(api, body)
    assert caught.value.param == param
    assert caught.value.message


def test_a_cut_character_at_a_piece_of_the_check_is_no_error() -> None:
    for shift in range(4):
        text = "x" * (16384 - 60 + shift) + "é中🙂" * 20
        assert parse("chat", json.dumps({"model": "m", "messages": [{"content": text}]}, ensure_ascii=False).encode())
