"""The two ways to a conversation's ids, and when which is taken. That ids are exact: `test_encoder_exact`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tokenizer_cache.small import small
from tokenizer_cache.bodies.items import StartKeys
from tokenizer_cache.bodies.request import Request, parse
from tokenizer_cache.conversations.chain import Chain, pack
from tokenizer_cache.conversations.conversation import Conversations, Room
from tokenizer_cache.counters import Counters
from tokenizer_cache.messages import MessageEncoder, NotBrief, Recognised, _common

USER: dict[str, Any] = {"role": "user", "content": "read the file"}
SAID: dict[str, Any] = {"role": "assistant", "content": "done"}


class Bench:
    """An encoder for messages, and what it counted."""

    def __init__(self) -> None:
        self.tokenizer = small("chatml")
        self.counters = Counters()
        self.conversations = Conversations(Room(1 << 20))
        self.conversations.keep_ids = True
        self.chain = Chain(8, b"s")
        self.encoder = MessageEncoder(self.tokenizer, self.chain, self.conversations, self.counters)
        self.root = self.chain.root(b"root")

    def seen(self, request: Request) -> Recognised:
        keys = StartKeys(b"context", request.conversation)
        place, boundary = self.conversations.find(keys)
        return Recognised(self.root, b"context", keys, place, boundary, 0)

    def encode(self, *messages: dict[str, Any], brief: bool = False) -> Any:
        request = parse("chat", json.dumps({"model": "m", "messages": list(messages)}).encode())
        return self.encoder.encode(request, self.seen(request), brief)


def test_the_ids_are_those_of_the_whole_rendering() -> None:
    bench, text = Bench(), "<|im_start|>user\nread the file<|im_end|>\n<|im_start|>assistant\n"
    closed = bench.encode(USER)
    ids = pack(bench.tokenizer.encode(text))
    assert (closed.ids, closed.tokens) == (ids, len(ids) // 4)
    assert closed.chain == bench.chain.extend(bench.root, b"", ids)[0]


def test_a_first_turn_is_rendered_in_full_and_the_next_ones_by_their_tails() -> None:
    bench, conversation = Bench(), [USER]
    for _ in range(6):
        bench.encode(*conversation)
        conversation += [SAID, USER]
    assert bench.counters.hits == {"cold": 1, "tail": 5}
    assert 0 < bench.counters.verified < 5, "at first each is compared with the full rendering, then some"


def test_briefly_is_only_what_needs_no_full_rendering() -> None:
    bench, conversation = Bench(), [USER]
    with pytest.raises(NotBrief):
        bench.encode(USER, brief=True)
    for _ in range(5):
        bench.encode(*conversation)
        conversation += [SAID, USER]
    hits = bench.counters.hits["tail"]
    bench.encode(*conversation, brief=True)
    assert bench.counters.hits["tail"] == hits + 1


def test_a_system_message_is_known_to_another_conversation() -> None:
    bench, system = Bench(), {"role": "system", "content": "You code."}
    bench.encode(system, USER)
    request = parse("chat", json.dumps({"model": "m", "messages": [system, SAID, USER]}).encode())
    assert bench.seen(request).place == 1


@given(st.text("ab", max_size=30), st.text("ab", max_size=30))
def test_the_common_start_is_as_long_as_it_can_be(one: str, other: str) -> None:
    length = _common(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length == len(one) == len(other)
