"""Chat and completions through OpenAI's own SDK: what it cannot read is not OpenAI-compatible."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.engines import EngineThread

if TYPE_CHECKING:
    import openai

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
NOW: Any = {"type": "function", "function": {"name": "now"}}


@pytest.fixture
def sdk(engine: EngineThread) -> Iterator["openai.OpenAI"]:
    import openai

    with openai.OpenAI(base_url=f"{engine.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_a_whole_chat(sdk: "openai.OpenAI") -> None:
    answer = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 32
    assert len((answer.choices[0].message.content or "").split()) == 16


def test_a_streamed_chat_with_two_choices(sdk: "openai.OpenAI") -> None:
    texts = ["", ""]
    stream = sdk.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hello"}], n=2, max_tokens=5, stream=True
    )
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    whole = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], n=2, max_tokens=5)
    assert texts == [choice.message.content for choice in whole.choices]


@pytest.mark.parametrize("max_tokens", [1, 2, 9])
@pytest.mark.parametrize("tool", [WEATHER, NOW])
def test_a_tool_call_is_the_same_streamed_and_whole(sdk: "openai.OpenAI", tool: Any, max_tokens: int) -> None:
    asked: Any = {
        "model": "m",
        "messages": [{"role": "user", "content": "call the tool"}],
        "tools": [tool],
        "max_completion_tokens": max_tokens,
    }
    whole = sdk.chat.completions.create(**asked).choices[0]
    assert (whole.finish_reason, whole.message.content) == ("tool_calls", None)
    assert whole.message.tool_calls is not None
    called: Any = whole.message.tool_calls[0]
    assert called.function.name == tool["function"]["name"]
    with sdk.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls is not None
    streamed: Any = final.message.tool_calls[0]
    assert streamed.function.name == called.function.name
    assert streamed.function.arguments == called.function.arguments


def test_a_required_call_is_made_whatever_was_said(sdk: "openai.OpenAI") -> None:
    said: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "tools": [WEATHER]}
    assert sdk.chat.completions.create(**said, tool_choice="required").choices[0].finish_reason == "tool_calls"
    assert sdk.chat.completions.create(**said, tool_choice="auto").choices[0].finish_reason != "tool_calls"


def test_tools_alone_call_nothing(sdk: "openai.OpenAI") -> None:
    answer = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}], tools=[WEATHER])
    assert answer.choices[0].message.content


def test_completions(sdk: "openai.OpenAI") -> None:
    whole = sdk.completions.create(model="m", prompt="Once upon a time", max_tokens=6)
    stream = sdk.completions.create(model="m", prompt="Once upon a time", max_tokens=6, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_errors_are_the_sdk_s_own(sdk: "openai.OpenAI") -> None:
    import openai

    with pytest.raises(openai.NotFoundError, match="does not exist"):
        sdk.chat.completions.create(model="other", messages=[{"role": "user", "content": "hello"}])
    with pytest.raises(openai.BadRequestError, match="not be empty"):
        sdk.completions.create(model="m", prompt="")
