"""What the client makes of answers, whole and broken."""

import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from loadtests.replay.client import Client, Question, Stream
from loadtests.replay.record import Record, Usage
from tests.engines import EngineThread

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


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client(timeout_s=2.0) as made:
        yield made


def question(url: str, **more: Any) -> Question:
    body = {"messages": [{"role": "user", "content": "word " * 400}], "max_tokens": 5, "stream": True}
    body |= {"stream_options": {"include_usage": True}} | more
    return Question(
        "s", 0, f"{url}/v1/chat/completions", msgspec.json.encode(body), {"content-type": "application/json"}
    )


async def test_a_live_answer_is_measured(client: Client) -> None:
    with EngineThread() as engine:
        records = [await client.ask(question(engine.url)) for _ in range(2)]
        assert await client.first_model(f"{engine.url}/v1", {}) == "warm-demo"
    for record in records:
        assert record.error == "" and record.asked_s < record.first_s < record.ended_s
        assert record.usage.answer_tokens == 5 and record.per_token_s > 0
    assert records[0].usage.cached_tokens == 0 < records[1].usage.cached_tokens < records[1].usage.prompt_tokens


async def struck(client: Client, kind: str) -> Record:
    with EngineThread() as engine:
        engine.fault(kind, after_chunks=2)
        record = await client.ask(question(engine.url))
    assert record.usage == Usage()
    return record


async def test_errors_have_kinds(client: Client) -> None:
    refused = await struck(client, "status_503")
    assert refused.error == "status 503" and refused.detail and math.isnan(refused.first_s)
    assert (await struck(client, "reset")).error == "no answer"
    cut = await struck(client, "close_mid_stream")
    assert cut.error == "cut off" and cut.first_s > cut.asked_s
    assert (await struck(client, "error_event")).error == "error event"
    assert (await client.ask(question("http://127.0.0.1:9"))).error == "no connection"


async def test_patience_ends(client: Client) -> None:
    async with Client(timeout_s=0.2) as hasty:
        assert (await struck(hasty, "hang_headers")).error == "timeout"


async def test_an_unfit_base_url_is_said(client: Client) -> None:
    with pytest.raises(ValueError, match="does not answer"):
        await client.first_model("http://127.0.0.1:9/v1", {})
    with EngineThread(api_key="k") as engine, pytest.raises(ValueError, match="answers 401"):
        await client.first_model(f"{engine.url}/v1", {})
