"""What is made of a stream: the first token, usage, and how it ended."""

import pytest

from loadtests.laboratory.replay.record import Usage
from loadtests.laboratory.replay.stream import Stream

USAGE = b'{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}'


def event(delta: bytes) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":%s}],"usage":null}\n\n' % delta


ROLE, WORD = event(b'{"role":"assistant","content":""}'), event(b'{"content":"hi"}')
END = b'data: {"choices":[],"usage":%s}\n\ndata: [DONE]\n\n' % USAGE


def test_the_first_token_is_neither_a_comment_nor_a_role() -> None:
    stream = Stream()
    assert [stream.feed(part) for part in (b": hello\n\n", ROLE, WORD[:20], WORD[20:], WORD)] == [0, 0, 0, 1, 0]


@pytest.mark.parametrize("delta", [b'{"reasoning_content":"hm"}', b'{"tool_calls":[{"index":0}]}'])
def test_reasoning_and_tool_calls_are_tokens(delta: bytes) -> None:
    assert Stream().feed(event(delta))


def test_usage_and_end_are_found_at_the_end_of_a_long_stream() -> None:
    stream = Stream()
    for _ in range(1000):
        stream.feed(WORD)
    assert stream.error() == ("cut off", "the stream ended without [DONE]")
    stream.feed(END)
    assert stream.error() == ("", "")
    assert stream.usage() == Usage(10, 8, 3)


def test_an_engine_may_report_less() -> None:
    stream = Stream()
    stream.feed(b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":1}}\r\n\r\n')
    assert stream.usage() == Usage(4, -1, 1)
    assert Stream().usage() == Usage()


def test_an_error_event_is_an_error_though_the_stream_ends_well() -> None:
    stream = Stream()
    stream.feed(WORD + b'data: {"error":{"message":"gone","code":500}}\n\ndata: [DONE]\n\n')
    assert stream.error() == ("error event", "gone")


def test_an_answer_without_a_token_is_none() -> None:
    stream = Stream()
    stream.feed(ROLE + END)
    assert stream.error() == ("empty answer", "")
