"""Answers of scripts: what ours give is read, and all else is a miss that is counted."""

from typing import Any

import msgspec
import pytest

from router.observe.instruments import Counter
from router.prefix.answers import MAX_HOLDERS, Answers, Match, Outcome
from router.shared.failure import LOST
from router.shared.link import Answer


def packed(*value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.fixture
def refused() -> Counter:
    return Counter("refused", "", ("kind",))


def test_what_our_scripts_answer_is_read(refused: Counter) -> None:
    answers = Answers(refused)
    assert answers.match(packed("e", [["w", 2, 3, 4]])) == Match(b"e", [("w", 2, 3, 4)])
    assert answers.match(packed("", [])) == Match(None, [])
    assert answers.outcome([5, 0, 1, b"e"]) == Outcome(5, False, True, b"e")
    assert answers.outcome([5, 1, 0, None]) == Outcome(5, True, False, b"")
    assert answers.time_s([b"12", b"500000"]) == 12.5
    assert answers.epoch(None) == (None,)
    assert answers.epoch(b"e" * 32) == (b"e" * 32,)
    assert not refused.values


@pytest.mark.parametrize(
    "answer",
    [
        LOST,
        None,
        b"",
        b"text",
        packed("e"),
        packed("e" * 33, []),
        packed("e", [["", 2, 3, 4]]),
        packed("e", [["w" * 65, 2, 3, 4]]),
        packed("e", [["w", -1, 3, 4]]),
        packed("e", [["w", 2, (1 << 48) + 1, 4]]),
        packed("e", [["w", 2, 3, 1.5]]),
        packed("e", [["w", 2, 3, 4]] * (MAX_HOLDERS + 1)),
    ],
)
def test_a_match_that_is_none(answer: Answer, refused: Counter) -> None:
    assert Answers(refused).match(answer) is None
    assert refused.values == {("index",): 1}


@pytest.mark.parametrize(
    "answer", [LOST, None, b"", [], [1, 0, 0], [-1, 0, 0, b"e"], [1, b"0", 0, b"e"], [1, 0, 0, b"e" * 33], [1, 0, 0, 2]]
)
def test_an_outcome_that_is_none(answer: Any, refused: Counter) -> None:
    assert Answers(refused).outcome(answer) is None
    assert refused.values == {("index",): 1}


@pytest.mark.parametrize(
    "answer", [LOST, None, b"12", [b"12"], [12, 5], [b"12", b"-5"], [b"1" * 13, b"5"], [b"1", b""]]
)
def test_a_time_that_is_none(answer: Any, refused: Counter) -> None:
    assert Answers(refused).time_s(answer) is None
    assert refused.values == {("index",): 1}


@pytest.mark.parametrize("answer", [LOST, 3, b"e" * 33, []])
def test_an_epoch_that_is_none(answer: Any, refused: Counter) -> None:
    assert Answers(refused).epoch(answer) is None
    assert refused.values == {("index",): 1}
