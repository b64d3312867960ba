"""Bodies are valid, grow as conversations do, have the size asked for, and are the same every time."""

import json
import random
from pathlib import Path

import pytest
import zstandard

from loadtests.evidence.cost import bodies


@pytest.mark.parametrize(("size_kb", "stream"), [(1, False), (16, True), (150, False)])
def test_each_body_is_a_chat_request_that_extends_the_one_before(size_kb: int, stream: bool) -> None:
    workload = bodies.generate(size_kb, 2, stream=stream)
    for number in range(2):
        messages: list[object] = []
        for body in workload.bodies(number):
            request = json.loads(body)
            assert request["messages"][: len(messages)] == messages
            assert len(request["messages"]) > len(messages)
            assert request.get("stream", False) is stream
            messages = request["messages"]
        assert len(messages) > 2


@pytest.mark.parametrize("size_kb", [1, 16, 150, 500])
def test_sizes_stay_around_the_size_asked_for(size_kb: int) -> None:
    sizes = [len(body) for body in bodies.generate(size_kb, 1, stream=False).bodies(0)]
    assert min(sizes) >= size_kb * 1000 * 0.8
    assert max(sizes) <= size_kb * 1000 * 1.2
    assert len(sizes) >= bodies.turns(size_kb) // 2


def test_sessions_share_the_system_prompt_and_differ_after_it() -> None:
    workload = bodies.generate(16, 2, stream=False)
    one, two = (json.loads(next(workload.bodies(number)))["messages"] for number in range(2))
    assert one[0] == two[0]
    assert one[1] != two[1]


def test_the_same_seed_gives_the_same_bodies() -> None:
    assert bodies.generate(1, 3, stream=False, seed=7) == bodies.generate(1, 3, stream=False, seed=7)
    assert bodies.generate(1, 3, stream=False, seed=7) != bodies.generate(1, 3, stream=False, seed=8)


def test_the_text_is_varied() -> None:
    source = bodies.TextSource(random.Random(1))
    lines = source.text(20_000).splitlines()
    assert len(set(lines)) > 0.9 * len(lines)


def test_recorded_sessions_come_again_under_another_system_prompt(tmp_path: Path) -> None:
    step = [{"role": "assistant", "content": None}, {"role": "tool", "tool_call_id": "1", "content": "x" * 90}]
    line = json.dumps({"messages": [{"role": "user", "content": "go"}, *step * 10]}).encode()
    (tmp_path / "claude_code_entirecli.jsonl.zst").write_bytes(zstandard.compress(line))
    workload = bodies.recorded(1, 3, stream=False, folder=tmp_path)
    starts = {json.loads(next(workload.bodies(number)))["messages"][0]["content"] for number in range(3)}
    assert len(starts) == 3
    for body in workload.bodies(0):
        assert 800 <= len(body) <= 1300
        assert json.loads(body)["messages"][-1]["role"] != "assistant"


def test_sessions_too_short_for_the_size_are_refused(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "go"}]}).encode()
    (tmp_path / "claude_code_entirecli.jsonl.zst").write_bytes(zstandard.compress(line))
    with pytest.raises(ValueError, match="150 KB"):
        bodies.recorded(150, 3, stream=False, folder=tmp_path)
