"""Tails equal the end of the full rendering, or there is none. Whole conversations: `test_encoder_exact`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tokenizer_cache.small import small
from tokenizer_cache.bodies.request import parse
from tokenizer_cache.conversations.conversation import Boundary, Spine
from tokenizer_cache.counters import Counters
from tokenizer_cache.templates.render import Renderer
from tokenizer_cache.templates.tail_renderer import Tail, TailRenderer, Trust

CONTEXT = b"context"
USER: dict[str, Any] = {"role": "user", "content": "read"}
SAID: dict[str, Any] = {"role": "assistant", "content": "done"}
CALL = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
CALLS: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c", "content": "lines"}
KNOWN = Boundary(Spine(), blocks=0, remainder=b"", tokens=0, overhang="over|", shape="u")


class Bench:
    """Tails of one template, beside its full renderings."""

    def __init__(self, family: str = "chatml") -> None:
        self.renderer = Renderer(small(family))
        self.counters = Counters()
        self.tails = TailRenderer(self.renderer, self.counters)
        self.tails.remember(CONTEXT, self.renderer.call("chat", {"messages": [USER]}))

    def full(self, *messages: dict[str, Any]) -> str:
        return self.renderer.full(self.renderer.call("chat", {"messages": list(messages)}))

    def tail(self, *messages: dict[str, Any], place: int = 1, known: Boundary = KNOWN) -> Tail | None:
        body = json.dumps({"model": "m", "messages": list(messages)}).encode()
        return self.tails.render(parse("chat", body), CONTEXT, place, known)


def test_a_tail_is_the_overhang_and_what_the_new_messages_add() -> None:
    bench = Bench()
    conversation = (USER, SAID, USER)
    tail = bench.tail(*conversation)
    assert tail is not None
    known = bench.full(USER).removesuffix("<|im_start|>assistant\n")
    assert known + tail.text.removeprefix("over|") == bench.full(*conversation)
    assert tail.text[tail.closed :] == "<|im_start|>assistant\n"
    assert tail.text[tail.cut :].startswith("<|im_end|>")
    assert tail.shape == "uau"


@pytest.mark.parametrize(
    "messages",
    [
        (USER,),
        (USER, SAID),
        (USER, {"role": "system", "content": "s"}, USER),
        (USER, RESULT),
        (USER, CALLS, {**RESULT, "tool_call_id": "other"}),
        (USER, {"role": "robot", "content": "a"}),
    ],
)
def test_where_only_a_full_rendering_is_safe_there_is_none(messages: tuple[dict[str, Any], ...]) -> None:
    assert Bench().tail(*messages) is None


def test_what_is_known_must_have_a_shape_and_a_context() -> None:
    bench = Bench()
    assert bench.tail(USER, SAID, USER, known=replace(KNOWN, shape=None)) is None
    bench.tails = TailRenderer(bench.renderer, bench.counters)
    assert bench.tail(USER, SAID, USER) is None


def test_results_whose_calls_are_new_too_are_rendered() -> None:
    tail = Bench().tail(USER, CALLS, RESULT)
    assert tail is not None
    assert tail.shape == "uct"


def test_a_kind_that_was_given_up_twice_is_rendered_in_full_from_then_on() -> None:
    bench = Bench()
    for _ in range(2):
        tail = bench.tail(USER, CALLS, RESULT)
        assert tail is not None
        bench.tails.give_up(tail.trust)
    assert bench.tail(USER, CALLS, RESULT) is None
    assert bench.counters.failed == 2
    assert bench.tails.due(CONTEXT, KNOWN)
    assert bench.tail(USER, SAID, USER) is not None, "another kind"


def test_a_tail_is_compared_at_first_and_then_by_sample() -> None:
    trust = Trust()
    due = []
    for use in range(400):
        if trust.due:
            due.append(use)
        trust.uses += 1
    assert due == [0, 1, 2, 128, 256, 384]


def test_due_is_guessed_without_reading_an_item() -> None:
    bench = Bench()
    assert not bench.tails.due(CONTEXT, KNOWN), "nothing is known against it"
    assert bench.tails.due(b"another", KNOWN)
    assert bench.tails.due(CONTEXT, replace(KNOWN, shape=None))
    tail = bench.tail(USER, CALLS, RESULT)
    assert tail is not None
    assert bench.tails.due(CONTEXT, KNOWN)
    tail.trust.uses = 3
    assert not bench.tails.due(CONTEXT, KNOWN)


def test_a_context_with_large_arguments_is_not_kept() -> None:
    bench = Bench()
    kwargs = {"documents": ["x" * 5000]}
    call = bench.renderer.call("chat", {"messages": [USER], "chat_template_kwargs": kwargs})
    bench.tails.remember(b"large", call)
    assert bench.tails.due(b"large", KNOWN)
