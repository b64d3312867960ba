"""Made-up text has in common what the chains have in common."""

import itertools

import numpy as np

from loadtests.engine.byte_tokens import chat_ids
from loadtests.laboratory.replay.made_up import messages
from loadtests.laboratory.traces.script import Script, Turn


def turn(keep: int, new: list[int], spare: int = 0, answer: int = 64) -> Turn:
    return Turn(keep, np.array(new, dtype=np.uint64), 64 * (keep + len(new)) + spare, answer, 0.0, 1.0)


def text(said: list[dict[str, str]]) -> str:
    return "".join(message["content"] for message in said)


def shared(a: str, b: str) -> int:
    """Characters that both begin with."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def test_prompts_share_exactly_the_blocks_that_their_chains_share() -> None:
    a, b = ([turn(0, [*range(5), last])] for last in (8, 9))
    first, second = (text(next(messages(Script("s", turns)))) for turns in (a, b))
    assert 5 * 64 * 4 <= shared(first, second) < 5 * 64 * 4 + 16
    assert len(first) == 6 * 64 * 4


def test_a_conversation_grows_by_an_answer_and_a_question() -> None:
    script = Script("s", [turn(0, [1, 2, 3], 10), turn(3, [4, 5, 6])], shared_blocks=1)
    first, second = messages(script)
    assert [message["role"] for message in first] == ["system", "user"]
    assert [message["role"] for message in second] == ["system", "user", "assistant", "user"]
    assert len(second[2]["content"]) == 64 * 4
    assert first[0] == second[0]
    assert first[1]["content"].startswith(second[1]["content"])  # its incomplete last block is gone


def test_a_rewind_keeps_what_the_chain_keeps() -> None:
    first, second = messages(Script("s", [turn(0, [1, 2, 3, 4]), turn(2, [7, 8])]))
    assert shared(text(first), text(second)) // (64 * 4) == 2


def test_prompts_are_about_as_long_as_recorded() -> None:
    turns = [turn(0, list(range(20)), 30), turn(20, list(range(50, 60)), 1), turn(10, [99], 63)]
    for recorded, said in zip(turns, messages(Script("s", turns)), strict=True):
        assert recorded.prompt_tokens <= len(chat_ids({"messages": said})) <= recorded.prompt_tokens + 20


def test_the_same_script_gives_the_same_text() -> None:
    script = Script("s", [turn(0, [1]), turn(1, [2])])
    for a, b in itertools.pairwise([list(messages(script)) for _ in range(2)]):
        assert a == b


def test_a_prompt_of_less_than_a_block_has_words() -> None:
    assert len(text(next(messages(Script("s", [turn(0, [], 9)]))))) == 9 * 4
