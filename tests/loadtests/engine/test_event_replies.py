"""Messages and responses through the official SDKs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.engines import EngineThread, quick_profile

if TYPE_CHECKING:
    import anthropic
    import openai

TOOL: Any = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}},
}
LONG = "The same words open every request of this test, so that blocks are shared. " * 5


@pytest.fixture
def claude(engine: EngineThread) -> Iterator["anthropic.Anthropic"]:
    import anthropic

    with anthropic.Anthropic(base_url=engine.url, api_key="none", max_retries=0) as opened:
        yield opened


@pytest.fixture
def sdk(engine: EngineThread) -> Iterator["openai.OpenAI"]:
    import openai

    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_messages_whole_and_streamed_are_equal(claude: "anthropic.Anthropic") -> None:
    import anthropic

    asked: Any = {
        "model": "m",
        "max_tokens": 5,
        "system": LONG,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }
    whole = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert isinstance(whole.content[0], anthropic.types.TextBlock)
    assert text == whole.content[0].text
    assert (final.stop_reason, whole.stop_reason) == ("max_tokens", "max_tokens")
    tokens = whole.usage.input_tokens
    assert final.usage.cache_read_input_tokens == (tokens - 1) // 16 * 16
    assert final.usage.input_tokens == tokens - final.usage.cache_read_input_tokens
    assert final.usage.output_tokens == 5


def test_messages_tool_use(claude: "anthropic.Anthropic") -> None:
    asked: Any = {
        "model": "m",
        "max_tokens": 5,
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "call the tool"}],
    }
    whole: Any = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        final: Any = stream.get_final_message()
    for message in (whole, final):
        assert message.stop_reason == "tool_use"
        assert (message.content[0].type, message.content[0].name) == ("tool_use", "weather")
    assert whole.content[0].input == final.content[0].input
    assert set(whole.content[0].input) == {"town"}


def test_messages_errors(claude: "anthropic.Anthropic") -> None:
    import anthropic

    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="other", max_tokens=1, messages=[{"role": "user", "content": "x"}])


def test_responses_whole_and_streamed_are_equal(sdk: "openai.OpenAI") -> None:
    whole = sdk.responses.create(model="m", input="hello", instructions="Be short.", max_output_tokens=5)
    types = []
    with sdk.responses.stream(model="m", input="hello", instructions="Be short.", max_output_tokens=5) as stream:
        for event in stream:
            types.append(event.type)
    assert types[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert types[-1] == "response.completed"
    assert types.count("response.output_text.delta") == 5
    assert whole.status == "incomplete"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 5


def test_a_response_is_kept_and_can_be_continued(sdk: "openai.OpenAI") -> None:
    first = sdk.responses.create(model="m", input=LONG)
    assert sdk.responses.retrieve(first.id).output_text == first.output_text
    second = sdk.responses.create(model="m", input="go on", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    known = first.usage.total_tokens - 1
    assert second.usage.input_tokens_details.cached_tokens == known // 16 * 16


def test_a_response_that_is_not_stored_is_not_found(sdk: "openai.OpenAI") -> None:
    import openai

    answer = sdk.responses.create(model="m", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="m", input="go on", previous_response_id=answer.id)


def test_responses_call_functions(sdk: "openai.OpenAI") -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": TOOL["input_schema"], "strict": False}
    asked: Any = {"model": "m", "tools": [tool], "input": [{"role": "user", "content": "call the tool"}]}
    whole: Any = sdk.responses.create(**asked).output[0]
    assert (whole.type, whole.name) == ("function_call", "weather")
    with sdk.responses.stream(**asked) as stream:
        final: Any = stream.get_final_response().output[0]
    assert final.arguments == whole.arguments


async def test_a_stream_of_responses_begins_before_prefill() -> None:
    """vLLM does so: whoever waits for the first byte learns nothing about prefill here."""
    with EngineThread(model="m", profile=quick_profile(prefill_rate=1.0)) as engine:
        body = {"model": "m", "input": LONG, "stream": True}
        async with (
            httpx.AsyncClient(base_url=engine.url) as client,
            client.stream("POST", "/v1/responses", json=body) as answer,
        ):
            first = await anext(answer.aiter_text())
            assert "response.created" in first
            assert engine.state()["running"] == 1
