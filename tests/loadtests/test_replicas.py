"""What is replayed: long bodies that each contain the one before; and how it is summed up."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from loadtests.endurance.results import End, Result
from loadtests.replicas.courses import MIN_BYTES, read
from loadtests.replicas.outcome import Outcome, table
from loadtests.replicas.replay import Tokens


def session(name: str, requests: list[list[list[int]]], messages: int = 40) -> dict[str, Any]:
    text = "word " * (MIN_BYTES // 50)
    pool = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"{i} {text}"} for i in range(messages)]
    return {"id": name, "messages": pool, "requests": [{"spans": spans, "t": 0.0} for spans in requests]}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "sessions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_each_body_continues_the_one_before(tmp_path: Path) -> None:
    grows = [[[0, end]] for end in range(1, 30, 2)]
    (course,) = read([written(tmp_path, session("a", grows))], "m", 1, 4)
    bodies = [json.loads(body) for body in course.bodies]
    assert len(course.bodies[0]) >= MIN_BYTES
    for before, after in itertools.pairwise(bodies):
        count = len(before["messages"])
        assert after["messages"][:count] == before["messages"]
        assert len(after["messages"]) > count
        assert after["model"] == "m" and after["stream"]


def test_a_compacted_session_begins_anew(tmp_path: Path) -> None:
    requests = [[[0, 13]], [[0, 15]], [[1, 16]], [[1, 18]], [[1, 20]]]
    (course,) = read([written(tmp_path, session("a", requests))], "m", 1, 3)
    assert json.loads(course.bodies[0])["messages"][0]["content"].startswith("1 ")


def test_too_few_sessions_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only 0 sessions"):
        read([written(tmp_path, session("a", [[[0, 1]]]))], "m", 1, 2)


def test_the_table_compares_with_one_router_and_adds_up_the_runs_of_an_arm() -> None:
    good = Result(1.0, 1.5, 2.0, End.COMPLETE, 200, "w")
    slow = Result(1.0, 2.0, 2.5, End.COMPLETE, 200, "w")
    bad = Result(1.0, 0.0, 2.0, End.FAILED, 503, "")
    outcomes = [
        Outcome("pinned", [slow], Tokens(100, 90), 1),
        Outcome("1 router, one index", [good, bad], Tokens(300, 270), 1),
        Outcome("1 router, one index", [good], Tokens(100, 50), 1),
    ]
    pinned, one = table("t", outcomes).rows
    assert one[:5] == ("1 router, one index", "3", "1", "80.00 %", "1.0000")
    assert pinned[4] == "1.1250"
    assert pinned[-1] == "2.00, 2.00, 2.00"


def test_hit_rate_is_of_what_came_since() -> None:
    assert Tokens(300, 150).since(Tokens(100, 0)).hit_rate == 0.75
