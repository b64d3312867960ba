"""Traces as conversations."""

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from loadtests.laboratory.replay.conversations import endless, load
from loadtests.laboratory.traces.files import UnknownTraceError


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def session(name: str) -> dict[str, Any]:
    pool = [said("system", "be good"), said("user", "a"), said("assistant", None), said("user", "b")]
    return {
        "id": name,
        "messages": pool,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "requests": [{"spans": [[0, 2]], "t": 0.0, "usage": {"out": 30}}, {"spans": [[0, 4]], "t": 5.0}],
    }


def test_sessions_become_bodies_and_pauses(tmp_path: Path) -> None:
    (found,) = load([write(tmp_path / "s.jsonl", session("x"))])
    first, second = found.make()
    assert (found.turns, found.starts_s) == (2, None)
    assert [message["role"] for message in second.body["messages"]] == ["system", "user", "assistant", "user"]
    assert second.body["messages"][2]["content"] == ""
    assert first.body["tools"] == second.body["tools"]
    assert (first.think_s, first.answer_tokens) == (0.0, 30)
    assert second.think_s == pytest.approx(4.0)


def test_a_log_keeps_its_arrivals(tmp_path: Path) -> None:
    rows = [{"t": 10.0 + n, "session": str(n % 2), "body": {"messages": [said("user", "x")]}} for n in range(4)]
    a, b = load([write(tmp_path / "l.jsonl", *rows)])
    assert (a.starts_s, b.starts_s, a.turns, b.turns) == (0.0, 1.0, 2, 2)


def test_ids_become_text(tmp_path: Path) -> None:
    row = {"timestamp": 500, "input_length": 700, "output_length": 9, "hash_ids": [1, 2]}
    (found,) = load([write(tmp_path / "m.jsonl", row)])
    (ask,) = found.make()
    assert found.starts_s == 0.5
    assert len(ask.body["messages"][0]["content"]) == 700 * 4


def test_copies_share_the_system_prompt_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", session("x"))
    original, copy, another = islice(endless(load([path]), random.Random(1)), 3)
    texts = [[message["content"] for message in list(c.make())[-1].body["messages"]] for c in (original, copy, another)]
    assert texts == [["be good", "a", "", "b"], ["be good", "(1) a", "", "b"], ["be good", "(2) a", "", "b"]]
    assert len({original.name, copy.name, another.name}) == 3


def test_content_in_parts_is_marked_too(tmp_path: Path) -> None:
    row = {"t": 0, "body": {"messages": [said("user", [{"type": "text", "text": "x"}])]}}
    (found,) = load([write(tmp_path / "l.jsonl", row)])
    (ask,) = found.copy(3).make()
    assert [part["text"] for part in ask.body["messages"][0]["content"]] == ["(3) ", "x"]


def test_the_order_is_the_seeds(tmp_path: Path) -> None:
    found = load([write(tmp_path / "s.jsonl", *(session(str(n)) for n in range(9)))])
    orders = [[c.name for c in islice(endless(found, random.Random(seed)), 9)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert [c.name for c in islice(endless(found, None), 9)] == [str(n) for n in range(9)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no known trace format"),
        ('{"a": 1}', "no known trace format"),
        ('{"t": 1, "body": {"messages": []}}\n{"t": 2}', "line 2: 'body' is missing"),
        ('{"t": 1, "body": {"messages": []}}\nnot json', "line 2: JSON is malformed"),
        ('{"t": 1, "body": {"messages": []}}\n[1]', "line 2: list indices"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(UnknownTraceError, match=complaint):
        load([path])
