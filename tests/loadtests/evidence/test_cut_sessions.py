"""Stretches of recorded sessions, by prompts of a hundred tokens a message."""

import random
from typing import Any

from loadtests.evidence.cut_sessions import LEAST_ANSWER, MOST_ANSWER, MOST_CHARS_A_TOKEN, Limits, cut
from loadtests.laboratory.traces.requests import talks_of_sessions

LIMITS = Limits(min_tokens=300, max_tokens=1000, min_turns=3, max_turns=5)


def session(ends: list[int], **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": None if not n else str(n)} for n in range(max(ends))]
    return {"id": "s", "messages": messages, "requests": [{"spans": [[0, end]], "t": 0} for end in ends], **more}


def stretches(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return list(cut(rows, lambda body: 100 * len(body["messages"]), LIMITS, random.Random(1)))


def ends(row: dict[str, Any]) -> list[int]:
    return [request["spans"][0][1] for request in row["requests"]]


def test_the_last_turns_that_fit_are_kept() -> None:
    (row,) = stretches(session([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]))
    assert ends(row) == [5, 6, 7, 9, 10]
    assert len(row["messages"]) == 10


def test_sessions_with_too_few_turns_are_left_out() -> None:
    assert stretches(session([3, 4]), session([1, 2, 3, 4, 30]), session([4, 4, 4, 5])) == []


def test_a_copy_is_left_out() -> None:
    rows = session([3, 4, 5]), session([3, 4, 5, 6]), session([4, 5, 6])
    assert [ends(row) for row in stretches(*rows)] == [[3, 4, 5], [4, 5, 6]]


def test_prompts_that_lack_the_beginning_are_no_part_of_it() -> None:
    row = session([3, 4, 5, 6])
    row["requests"] += [{"spans": [[2, 8]], "t": 0}, {"spans": [[0, 2], [4, 9]], "t": 0}]
    assert ends(stretches(row)[0]) == [3, 4, 5, 6]


def test_long_texts_are_not_measured() -> None:
    row = session([3, 4, 5, 6])
    row["messages"][5]["content"] = "x" * MOST_CHARS_A_TOKEN * LIMITS.max_tokens
    assert ends(stretches(row)[0]) == [3, 4, 5]


def test_it_is_a_trace_with_pauses_of_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    (talk,) = talks_of_sessions(iter(stretches(session([3, 4, 5, 6], tools=tools))))
    assert [asked.body["tools"] for asked in talk.asked] == [tools] * 4
    assert all(LEAST_ANSWER <= asked.answer_tokens <= MOST_ANSWER for asked in talk.asked)
    assert all(0.1 < pause_s <= 4.0 for pause_s in talk.thinks_s()[1:])
