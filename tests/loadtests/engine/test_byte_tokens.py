"""Four bytes are one token, and a conversation that grows keeps its tokens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.engine.byte_tokens import ByteTokens
from loadtests.engine.errors import Refused

TURNS = st.lists(st.text(max_size=30), min_size=1, max_size=6)


def messages(texts: list[str]) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]


async def test_a_text_is_a_token_per_four_bytes() -> None:
    source = ByteTokens()
    ids = await source.text("abcdefghi", True)
    assert len(ids) == 3
    assert source.decode(ids.tolist()) == "abcdefghi"


@given(TURNS, TURNS)
def test_a_conversation_that_grows_keeps_its_tokens(texts: list[str], more: list[str]) -> None:
    short = tokens("chat", {"messages": messages(texts)})
    long = tokens("chat", {"messages": messages(texts + more)})
    without_header = short[:-3]  # "\1assistant", where the answer would begin
    assert long[: len(without_header)] == without_header


def tokens(api: str, body: dict[str, Any]) -> list[int]:
    """What the coroutine returns; it never waits."""
    running = ByteTokens().conversation(api, body)
    try:
        running.send(None)
    except StopIteration as stopped:
        ids: list[int] = stopped.value.tolist()
        return ids
    raise AssertionError("it waited")


@given(st.integers(0, 2**64 - 1), st.integers(1, 50))
def test_an_answer_s_ids_are_those_of_its_text(seed: int, count: int) -> None:
    source = ByteTokens()
    words = source.words(seed, count)
    text = b"".join(words.texts).decode()
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    answered = {"messages": [*asked["messages"], {"role": "assistant", "content": text}]}
    before = tokens("chat", asked)
    assert tokens("chat", answered)[: len(before) + count] == before + words.ids.tolist()


def test_all_that_the_prompt_holds_counts() -> None:
    base: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    variants = [
        base,
        {**base, "tools": [{"type": "function"}]},
        {"messages": [{"role": "system", "content": "hi"}]},
        {"messages": [*base["messages"], call]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
    ]
    assert len({tuple(tokens("chat", body)) for body in variants}) == len(variants)


def test_parts_are_their_texts() -> None:
    parts = [{"type": "text", "text": "hi"}]
    assert tokens("chat", {"messages": [{"role": "user", "content": parts}]}) == tokens(
        "chat", {"messages": [{"role": "user", "content": "hi"}]}
    )


def test_the_other_apis_see_the_system_prompt() -> None:
    plain = {"messages": [{"role": "user", "content": "hi"}]}
    assert len(tokens("messages", {**plain, "system": "s"})) > len(tokens("messages", plain))
    assert len(tokens("responses", {"input": "hi", "instructions": "s"})) > len(tokens("responses", {"input": "hi"}))
    assert tokens("responses", {"input": "hi"}) == tokens("chat", plain)


@pytest.mark.parametrize("given_messages", [None, [], "x", ["x"], [{"role": "user", "content": 3}]])
def test_what_are_no_messages_is_refused(given_messages: Any) -> None:
    with pytest.raises(Refused):
        tokens("chat", {"messages": given_messages})
