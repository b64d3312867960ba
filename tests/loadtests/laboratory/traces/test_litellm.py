"""LiteLLM's lines, as its loggers write them, become a log of one's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.laboratory.replay.conversations import load
from loadtests.laboratory.traces.files import UnknownTraceError, read, recorded

LONG = "word " * 400


def line(began: float, *texts: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {
        "id": "chatcmpl-1",
        "trace_id": "another each time",
        "call_type": "acompletion",
        "status": "success",
        "startTime": began,
        "endTime": began + 2.0,
        "completionStartTime": began + 0.4,
        "prompt_tokens": 500,
        "completion_tokens": 60,
        "model": "m",
        "model_parameters": {"stream": True},
        "messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)],
        **more,
    }


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_requests_are_put_together_by_their_messages(tmp_path: Path) -> None:
    path = write(
        tmp_path / "litellm.jsonl",
        line(100.0, LONG),
        line(101.0, "other " + LONG),
        line(105.0, LONG, "answer", "more " + LONG),
        line(109.0, LONG, "answer", "more " + LONG, "answer", "end"),
        line(110.0, LONG, status="failure"),
        line(111.0, messages=None),
        line(112.0, messages={"input": "an embedding"}),
    )
    one, other = read(path)
    assert [turn.think_s for turn in one.turns] == [0.0, 3.0, 2.0]
    assert [turn.answer_tokens for turn in one.turns] == [60] * 3
    assert [turn.service_s for turn in one.turns] == [2.0] * 3
    assert one.turns[1].keep >= one.turns[0].blocks - 1
    assert (one.starts_s, other.starts_s, len(other.turns)) == (0.0, 1.0, 1)
    traffic = recorded([path])
    assert traffic is not None
    assert [len(script.turns) for script in traffic.scripts] == [3, 1]
    assert [conversation.turns for conversation in load([path])] == [3, 1]


def test_times_may_be_words_and_tools_belong_to_the_prompt(tmp_path: Path) -> None:
    plain = read(write(tmp_path / "a.jsonl", line(100.0, LONG)))[0]
    times = {"startTime": "2026-11-30T09:00:00+00:00", "endTime": "2026-11-30T09:00:01.500000+00:00"}
    tools = {"model_parameters": {"tools": [{"type": "function", "function": {"name": "run", "description": LONG}}]}}
    (script,) = read(write(tmp_path / "b.jsonl", line(100.0, LONG, **times, **tools)))
    assert script.turns[0].service_s == 1.5
    assert script.turns[0].prompt_tokens > plain.turns[0].prompt_tokens + 400


@pytest.mark.parametrize(
    "bad",
    [
        {"startTime": None},
        {"startTime": "yesterday"},
        {"endTime": []},
        {"completion_tokens": "many"},
        {"messages": "redacted-by-litellm"},
        {"messages": [1]},
        {"model_parameters": "none"},
    ],
    ids=str,
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(UnknownTraceError, match="line 2"):
        read(write(tmp_path / "l.jsonl", line(1.0, LONG), line(2.0, LONG, **bad)))
