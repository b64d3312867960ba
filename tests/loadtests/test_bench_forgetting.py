"""The forgetting benchmark: its true pool, and that it runs."""

import random
from pathlib import Path

import pytest

from loadtests.bench_forgetting import Request, TruePool, interleaved, main, working_set
from loadtests.traces import files
from router.prefix.api import HASH_BYTES
from tests.servers import binaries

TRACE = '{"id": "s%d", "block_size": 64, "tool_tokens": 64, "system_tokens": 64, "models": ["m"], "requests": [%s]}\n'
TURN = '{"t": %d, "in": %d, "out": 130, "keep": %d, "new": [[%d, %d]], "think": 1, "api": 1, "type": "s"}'


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Three sessions of three turns that grow by four blocks."""
    turns = ", ".join(TURN % (number, 64 * 4 * (number + 1), 4 * number, 4 * number, 4) for number in range(3))
    path = tmp_path / "kvtraces.jsonl"
    path.write_text("".join(TRACE % (number, turns) for number in range(3)))
    return path


def request(*blocks: int, generated: int = 0) -> Request:
    return Request(b"".join(block.to_bytes(HASH_BYTES, "big") for block in blocks), generated)


def test_the_true_pool_evicts_tails_first_and_answers_before_them() -> None:
    pool = TruePool(5)
    assert pool.serve(request(1, 2, 3, generated=1)) == 0
    assert pool.serve(request(7, 8)) == 0
    assert pool.serve(request(1, 2, 3)) == 3, "only the answer went"
    assert pool.serve(request(1, 2, 3, 4)) == 3
    assert pool.serve(request(7, 8)) == 1


def test_sessions_are_interleaved_and_counted(trace: Path) -> None:
    requests = list(interleaved(files.read(trace), 2, random.Random(1)))
    assert [len(requests), max(each.blocks for each in requests)] == [9, 12]
    assert working_set(requests, 2) > 0


def test_the_command_prints_its_table(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(trace), "--binary", binaries()["valkey"], "--ratios", "2"])
    assert "| kvtraces | 9 | 2 |" in capsys.readouterr().out
