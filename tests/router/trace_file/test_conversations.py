"""Prompts find the conversation that they go on by their blocks alone."""

import pytest

from router.trace_file import conversations
from router.trace_file.conversations import TracedConversations


def chain(*blocks: int) -> bytes:
    return b"".join(block.to_bytes(8, "little") for block in blocks)


def test_a_prompt_that_begins_with_the_last_one_goes_on() -> None:
    known = TracedConversations()
    assert known.next(chain(1, 2, 3, 4), 0, 1) == (1, 0)
    assert known.next(chain(1, 2, 3, 4, 5, 6), 2, 3) == (1, 4)
    assert known.next(chain(1, 2, 3, 4, 5, 9, 10), 4, 5) == (1, 5)  # the last block was written anew


def test_a_common_beginning_is_not_enough() -> None:
    known = TracedConversations()
    known.next(chain(1, 2, 3, 4, 5, 6, 7, 8), 0, 1)
    assert known.next(chain(1, 2, 3, 4, 20, 21, 22, 23, 24), 2, 3) == (2, 0)
    assert known.next(chain(1, 2, 3, 4, 5, 6, 7, 8, 9), 4, 5) == (1, 8)


def test_the_same_prompt_again_is_another_conversation() -> None:
    known = TracedConversations()
    known.next(chain(1, 2), 0, 1)
    assert known.next(chain(1, 2), 2, 3) == (2, 0)


def test_a_prompt_that_came_before_the_last_answer_had_ended_does_not_go_on() -> None:
    known = TracedConversations()
    known.next(chain(1, 2, 3), 0, 10)
    assert known.next(chain(1, 2, 3, 4), 5, 12) == (2, 0)


def test_prompts_shorter_than_a_block_stand_alone() -> None:
    known = TracedConversations()
    assert [known.next(b"", at, at + 1) for at in range(3)] == [(1, 0), (2, 0), (3, 0)]


def test_the_oldest_conversations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MAX_CONVERSATIONS", 3)
    known = TracedConversations()
    for number in range(10):
        known.next(chain(number, 100 + number), number, number)
    assert len(known._known) == 3
    assert len(known._by_end) == 3
    assert known.next(chain(0, 100, 1), 20, 20) == (11, 0)  # forgotten, so told whole
    assert known.next(chain(9, 109, 1), 21, 21) == (10, 2)
    monkeypatch.setattr(conversations, "MAX_CHAIN_BYTES", 64)
    known.next(chain(*range(200, 210)), 22, 22)
    assert known._bytes == 80
