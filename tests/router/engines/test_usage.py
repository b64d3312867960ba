"""Usage is found in any cut of any answer."""

import json
import time
from collections.abc import Callable

import pytest

from router.engines.usage import KEPT_BYTES, AnswerEnds, Usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 64}}


def ends(*chunks: bytes) -> AnswerEnds:
    answer = AnswerEnds()
    for chunk in chunks:
        answer.add(chunk)
    return answer


def timed(call: Callable[[], object]) -> float:
    """Seconds for ten calls, in this thread's CPU time."""
    began = time.thread_time()
    for _ in range(10):
        call()
    return time.thread_time() - began


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 100, 10_000_000])
def test_json_answer_of_any_size_in_any_cut(size: int) -> None:
    body = json.dumps({"choices": [{"message": {"content": "x" * 20_000}}], "usage": CHAT}).encode()
    assert ends(*cut(body, size)).usage() == Usage(100, 64, 5)


def test_usage_before_a_long_content() -> None:
    body = json.dumps({"usage": CHAT, "choices": [{"message": {"content": "y" * 50_000}}]}).encode()
    assert ends(body).usage() == Usage(100, 64, 5)
    assert ends(*cut(body, 1000)).usage() == Usage(100, 64, 5)


def test_stream_with_a_usage_chunk() -> None:
    chunks = [b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'] * 2000
    last = b'data: {"choices":[],"usage":' + json.dumps(CHAT).encode() + b"}\n\n"
    assert ends(*chunks, last, b"data: [DONE]\n\n").usage() == Usage(100, 64, 5)
    assert ends(*chunks, b"data: [DONE]\n\n").usage() is None


def test_text_that_looks_like_usage_is_not_believed() -> None:
    fake = json.dumps({"content": '"usage": {"prompt_tokens": 1}'}).encode()
    assert ends(fake).usage() is None


def test_anthropic_stream_has_its_prompt_part_in_the_first_event() -> None:
    first = (
        b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":36,'
        b'"cache_read_input_tokens":64,"output_tokens":0}}}\n\n'
    )
    delta = b'event: content_block_delta\ndata: {"delta":{"text":"z"}}\n\n'
    last = b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":9}}\n\n'
    assert ends(first, *[delta] * 3000, last).usage() == Usage(100, 64, 9)


def test_missing_details_say_nothing_of_the_cache() -> None:
    body = b'{"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":null}}'
    assert ends(body).usage() == Usage(5, None, 1)


def test_responses_api_names() -> None:
    body = b'{"usage":{"input_tokens":70,"input_tokens_details":{"cached_tokens":64},"output_tokens":2}}'
    assert ends(body).usage() == Usage(70, 64, 2)


@pytest.mark.parametrize(
    "body", [b"", b'"usage"', b'"usage":{', b'"usage":{"prompt_tokens":', b'"usage":[1]', b"\xff" * 50]
)
def test_broken_answers_have_no_usage(body: bytes) -> None:
    assert ends(body).usage() is None


def test_a_boolean_is_no_count() -> None:
    assert ends(b'{"usage":{"prompt_tokens":true,"completion_tokens":3}}').usage() == Usage(None, None, 3)


def test_last_bytes() -> None:
    assert ends(b"abc", b"d").last(2) == b"cd"
    assert ends(b"abc", b"").last(2) == b"bc"


ODD = ['"5"', "-1", "1.0", "true", "null", "1e400", "1" + "0" * 400, str(1 << 63), "[]", "{}", "NaN", "-0.0"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "cached_tokens"])
def test_a_count_that_is_none_says_nothing(name: str, odd: str) -> None:
    values = {"prompt_tokens": "100", "completion_tokens": "5", "cached_tokens": "64", name: odd}
    found = ends(
        b'{"usage":{"prompt_tokens":%b,"completion_tokens":%b,"prompt_tokens_details":{"cached_tokens":%b}}}'
        % tuple(value.encode() for value in values.values())
    ).usage()
    assert found in (
        None,  # no JSON
        Usage(
            None if name == "prompt_tokens" else 100,
            {"cached_tokens": 0 if odd == "null" else None}.get(name, 64),
            None if name == "completion_tokens" else 5,
        ),
    )


def test_more_cached_than_there_was_says_nothing() -> None:
    body = b'{"usage":{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":6}}}'
    assert ends(body).usage() == Usage(5, None, 1)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_without_end_says_nothing(opening: bytes, closing: bytes) -> None:
    depth = 1950 // len(opening + closing)
    deep = opening * depth + b"1" + closing * depth
    assert ends(b'{"usage":{"prompt_tokens":' + deep + b"}}").usage() in (None, Usage(None, None, None))
    assert ends(b'{"usage":{"prompt_tokens":' + opening * depth).usage() is None


def test_an_answer_of_nothing_but_usage_is_cheap() -> None:
    flood = ends(*[b'{"usage":{' * 25_000] * 4)
    began = time.process_time()
    assert flood.usage() is None
    assert time.process_time() - began < 0.02


@pytest.mark.parametrize("size", [1, 100, KEPT_BYTES, 3 * KEPT_BYTES, 1 << 20])
def test_what_is_kept_of_an_answer_does_not_grow_with_it_or_its_chunks(size: int) -> None:
    report = b'{"usage":' + json.dumps(CHAT).encode() + b"}"
    answer = ends(*[b"x" * size] * (2_000_000 // size), b"y" * size + report)
    assert sum(map(len, (*answer._head, *answer._tail))) <= 6 * KEPT_BYTES
    assert answer.usage() == Usage(100, 64, 5)
    assert answer.head == b"x" * KEPT_BYTES
    assert answer.last(1) == b"}"


@pytest.mark.parametrize(
    "said",
    [
        b'{"index":0,"delta":{},"finish_reason":"tool_calls"}',
        b'{"finish_reason": "tool_calls", "stop_reason": null}',
        b'{"delta":{"stop_reason":"tool_use","stop_sequence":null}}',
        b'{"type":"function_call","name":"ls"}',
        b'{"id":"1","type":"custom_tool_call"}',
        b'{"type":"local_shell_call","id":"1"}',
    ],
)
def test_an_answer_that_ends_with_a_tool_call_is_known(said: bytes) -> None:
    assert ends(b'data: {"text":"x"}\n\n' * 2000, said, b"\n\ndata: [DONE]\n\n").calls_tool()


@pytest.mark.parametrize(
    "said",
    [
        b'{"message":{"content":"hi","tool_calls":[]},"finish_reason":"stop"}',
        json.dumps({"content": '"finish_reason":"tool_calls"}, "tool_use",'}).encode(),
        b'{"stop_reason":"end_turn","my_call":"other_call","x":"_calls","y":"a_tool_use"}',
        b'{"finish_reason":"tool_calls',
    ],
)
def test_words_that_look_like_a_tool_call_are_none(said: bytes) -> None:
    assert not ends(said).calls_tool()


def test_the_search_for_a_tool_call_is_cheap_in_text_full_of_quotes() -> None:
    chunk = b'{"choices":[{"index":0,"delta":{"content":" w"},"logprobs":null,"other":null,"more":null}]}\n'
    answer = ends(*[chunk] * 300)
    assert len(chunk) * 300 > KEPT_BYTES
    best_s = min(timed(answer.calls_tool) for _ in range(50))
    assert best_s < 5 * min(timed(lambda: answer.last(KEPT_BYTES)) for _ in range(50))
