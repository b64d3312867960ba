"""Trace files of routers, from what a router writes to scripts."""

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.laboratory.traces import files
from loadtests.laboratory.traces.files import UnknownTraceError, read, recorded
from loadtests.laboratory.traces.passed import in_usual_blocks
from loadtests.laboratory.traces.script import Script
from router.observe.record import RequestRecord
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.prompt_record import PromptRecord
from router.trace_file.lines import TracedWorker
from router.trace_file.writer import TraceFile
from tokenizer_cache.prompt import Prompt

SECRET = b"s" * 32


class Writing:
    """A trace file under way."""

    def __init__(self, path: Path, secret: bytes = SECRET) -> None:
        self.file = TraceFile(str(path), secret, lambda: [TracedWorker(100_000, 8000.0)])

    def passed(self, at: float, *blocks: int, cached: int = 0, block_tokens: int = 64) -> None:
        """A request that came at `at` and took two seconds."""
        record = RequestRecord(
            ended_ts=at + 2, ended_at=12.0, request_id="", method="", path="", endpoint="", status=200, outcome="ok",
            started_at=10.0, received_at=10.0, first_byte_at=10.5, cached_tokens=cached, completion_tokens=5,
        )  # fmt: skip
        chain = b"".join(block.to_bytes(8, "little") for block in blocks)
        tokens = block_tokens * len(blocks) + 3
        prompt = Prompt(chain, len(blocks), tokens, block_tokens, exact=True, source="ids")
        index = TreeIndex(Limits(), lambda: 0.0, lambda error: None)
        self.file.write(record, PromptRecord(index, "w", prompt, 0), None)


def facts(script: Script) -> list[tuple[int, int, int, float]]:
    return [(turn.keep, len(turn.new), turn.prompt_tokens, round(turn.think_s, 3)) for turn in script.turns]


def test_conversations_are_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    writing = Writing(path)
    writing.passed(100.0, 1, 2, 10, 11)
    writing.passed(101.0, 1, 2, 20, 21)
    writing.passed(105.0, 1, 2, 10, 11, 12, cached=256)
    writing.file.close()
    one, other = read(path)
    assert facts(one) == [(0, 4, 259, 0.0), (4, 1, 323, 3.0)]
    assert facts(other) == [(0, 4, 259, 0.0)]
    assert (one.starts_s, other.starts_s) == (0.0, 1.0)
    assert one.shared_blocks == other.shared_blocks == 2
    assert one.turns[1].answer_tokens == 5
    traffic = recorded([path])
    assert traffic is not None
    assert [answered.cached_tokens for answered in traffic.answered] == [0, 0, 256]
    assert traffic.answered[0].ttft_s == 0.5
    assert [worker.kv_tokens for worker in traffic.workers] == [100_000]


def test_a_conversation_goes_on_from_file_to_file_of_one_secret(tmp_path: Path) -> None:
    """As after a rotation, or where another router served the next turn."""
    for name, secret, turns in (
        ("a", SECRET, ((100.0, (1, 2, 3)),)),
        ("b", SECRET, ((110.0, (1, 2, 3, 4)), (120.0, (1, 2, 3, 4, 5)))),
        ("c", b"another", ((130.0, (1, 2, 3, 4, 5, 6)),)),
    ):
        writing = Writing(tmp_path / name, secret)
        for at, blocks in turns:
            writing.passed(at, *blocks)
        writing.file.close()
    traffic = recorded([tmp_path / name for name in "bca"])
    assert traffic is not None
    assert [facts(script) for script in traffic.scripts] == [
        [(0, 3, 195, 0.0), (3, 1, 259, 8.0), (4, 1, 323, 8.0)],
        [(0, 6, 387, 0.0)],
    ]


def test_blocks_of_other_sizes_end_where_they_end() -> None:
    chain = np.arange(1, 5, dtype=np.uint64).tobytes()
    assert len(in_usual_blocks(chain, 96)) == 6
    assert len(in_usual_blocks(chain, 128)) == 8
    longer = np.arange(1, 7, dtype=np.uint64).tobytes()
    assert in_usual_blocks(longer, 96)[:6].tolist() == in_usual_blocks(chain, 96).tolist()
    assert len(set(in_usual_blocks(longer, 128).tolist())) == 12


def test_a_line_that_a_killed_router_has_not_ended_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    writing = Writing(path)
    for at in range(3):
        writing.passed(at, at)
    writing.file.close()
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read(path)) == 2


GOOD: dict[str, Any] = {"at": 1.0, "conversation": 1, "prompt_tokens": 70, "ttft_s": 0.1, "took_s": 1.0}
HEAD: dict[str, Any] = {"warmroute_trace": 1, "began": 1.0, "workers": []}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "bad",
    [
        {"prompt_tokens": -1},
        {"prompt_tokens": "many"},
        {"prompt_tokens": 10**30},
        {"answer_tokens": -5},
        {"cached_tokens": 1 << 60},
        {"keep": 1},
        {"keep": -1},
        {"blocks": "AAAA"},
        {"blocks": "not base64"},
        {"blocks": [1, 2]},
        {"block_tokens": 0},
        {"block_tokens": 1},
        {"block_tokens": 1 << 20},
        {"took_s": -1},
        {"took_s": 1e300},
        {"ttft_s": 1e300},
        {"at": 1e300},
        {"conversation": None},
    ],
    ids=str,
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, bad: dict[str, Any]) -> None:
    path = write(tmp_path / "t.jsonl", HEAD, GOOD, GOOD | bad)
    for reading in (lambda: read(path), lambda: recorded([path])):
        with pytest.raises(UnknownTraceError, match="line 3"):
            reading()


@pytest.mark.parametrize("bad", [{"warmroute_trace": 2}, {"workers": [{}]}, {"began": "now"}], ids=str)
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(UnknownTraceError, match="line 1"):
        read(write(tmp_path / "t.jsonl", HEAD | bad, GOOD))


def test_a_head_alone_is_no_traffic(tmp_path: Path) -> None:
    assert read(write(tmp_path / "t.jsonl", HEAD)) == []


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"warmroute_trace"' + os.urandom(2000).hex().encode())
    with pytest.raises(UnknownTraceError, match="longer than"):
        read(path)


def test_one_short_line_makes_no_more_blocks_than_its_prompt_has(tmp_path: Path) -> None:
    blocks = b64encode(bytes(range(256)) * 320).decode()
    line = {**GOOD, "blocks": blocks, "block_tokens": 65_536, "prompt_tokens": 6400}
    (script,) = read(write(tmp_path / "trace.jsonl", HEAD, line))
    assert len(script.turns[0].new) == 100


def test_workers_out_of_range_are_refused(tmp_path: Path) -> None:
    head = {**HEAD, "workers": [{"kv_tokens": -5, "prefill_rate": 1.0}]}
    with pytest.raises(UnknownTraceError, match="workers"):
        read(write(tmp_path / "trace.jsonl", head, GOOD))
