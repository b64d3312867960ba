"""What passed is written whole, in files that are bounded, and a disk that fails costs lines alone."""

import base64
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.observe.record import RequestRecord
from router.prefix.residency import Limits
from router.prefix.tree import TreeIndex
from router.routing.prompt_record import PromptRecord
from router.trace_file import writer
from router.trace_file.lines import TracedWorker
from router.trace_file.writer import RETRY_S, TraceFile
from tokenizer_cache.prompt import Prompt

SECRET = b"s" * 32


def record(ended: float = 1000.0, status: int = 200, first_byte: float = 9.0) -> RequestRecord:
    return RequestRecord(
        ended_ts=ended,
        ended_at=10.0,
        request_id="client's own words",
        method="POST",
        path="/v1/chat/completions",
        endpoint="chat",
        status=status,
        outcome="ok",
        started_at=7.0,
        received_at=8.0,
        first_byte_at=first_byte,
        model="m",
        client="acme",
        worker="w-1",
        prompt_tokens=130,
        cached_tokens=64,
        completion_tokens=7,
    )


def prompt(*blocks: int, known: int | None = None) -> PromptRecord:
    chain = b"".join(block.to_bytes(8, "little") for block in blocks)
    at_most = len(blocks) if known is None else known
    made = Prompt(chain, at_most, 64 * len(blocks) + 2, 64, exact=known is None, source="ids")
    return PromptRecord(TreeIndex(Limits(), lambda: 0.0, lambda error: None), "w-1", made, 0)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None]
) -> None:
    make(path := tmp_path / "there")
    was = path.stat()
    file = TraceFile(str(path), SECRET)
    file.write(record(), prompt(1, 2), 131)
    file.close()
    assert (list(tmp_path.iterdir()), path.stat(), file.dropped) == ([path], was, 1)
    assert "there is something that is no plain file" in caplog.text


def test_a_file_holds_a_head_and_a_line_for_each_answered_prompt(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    file = TraceFile(str(path), SECRET, lambda: [TracedWorker(250_000, 8000.0)])
    file.write(record(1000.0), prompt(1, 2), 131, True)
    file.write(record(1010.0), prompt(1, 2, 3), None)
    file.write(record(status=500), prompt(4), None)  # refused
    file.write(record(first_byte=0.0), prompt(4), None)  # never answered
    file.write(record(), None, None)  # not a prompt
    assert not path.exists()
    file.close()
    head, first, second = read(path)
    assert head == {
        "warmroute_trace": 1,
        "began": 997.0,
        "workers": [{"kv_tokens": 250_000, "prefill_rate": 8000.0}],
    }
    blocks = base64.b64decode(first.pop("blocks")), base64.b64decode(second.pop("blocks"))
    assert list(map(len, blocks)) == [16, 8]
    assert first == {
        "at": 1.0,
        "conversation": 1,
        "prompt_tokens": 131,
        "cached_tokens": 64,
        "answer_tokens": 7,
        "calls_tool": True,
        "ttft_s": 1.0,
        "took_s": 2.0,
        "model": "m",
    }
    assert (second["conversation"], second["keep"], second["at"]) == (1, 2, 11.0)


def test_nothing_of_a_prompt_or_its_client_can_be_had_back(tmp_path: Path) -> None:
    """Not even by one who knows the block hashes, and has all but the key."""
    path = tmp_path / "trace.jsonl"
    file = TraceFile(str(path), SECRET)
    told = prompt(*range(1 << 40, (1 << 40) + 50))
    file.write(record(), told, None)
    file.close()
    text = path.read_text()
    blocks = base64.b64decode(read(path)[1]["blocks"])
    chain = told.prompt.chain
    assert not {blocks[at : at + 8] for at in range(0, 400, 8)} & {chain[at : at + 8] for at in range(0, 400, 8)}
    assert not [word for word in ("acme", "words", "w-1") if word in text]
    assert set(read(path)[1]) == {
        "at", "conversation", "prompt_tokens", "blocks", "cached_tokens", "answer_tokens", "ttft_s", "took_s", "model",
    }  # fmt: skip


def test_what_becomes_known_of_a_prompt_before_it_is_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    file = TraceFile(str(path), SECRET)
    late, guessed = prompt(1, 2, 3, known=1), prompt(7, 8, 9, known=1)
    file.write(record(), late, None)
    file.write(record(), guessed, None)
    late.encoded(prompt(1, 2, 5).prompt)
    file.close()
    _, first, second = read(path)
    assert [len(base64.b64decode(line["blocks"])) for line in (first, second)] == [24, 8]  # no guessed block


def test_only_the_routers_own_user_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    file = TraceFile(str(path), SECRET)
    file.write(record(), prompt(1), None)
    file.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_files_are_bounded_and_each_can_be_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FILE_BYTES", 300)
    monkeypatch.setattr(writer, "OLD_FILES", 2)
    path = tmp_path / "trace.jsonl"
    file = TraceFile(str(path), SECRET)
    for number in range(1, 30):
        file.write(record(1000.0 + number), prompt(*range(1, number + 1)), None)
        file.flush()
    file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["trace.jsonl", "trace.jsonl.1", "trace.jsonl.2"]
    for each in tmp_path.iterdir():
        head, *lines = read(each)
        assert head["warmroute_trace"] == 1
        assert "keep" not in lines[0]
    assert read(path)[0]["began"] > read(tmp_path / "trace.jsonl.1")[0]["began"]


def test_a_start_keeps_the_file_of_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    for ended in (1000.0, 2000.0):
        file = TraceFile(str(path), SECRET)
        file.write(record(ended), prompt(1), None)
        file.close()
    assert read(path)[0]["began"] == 1997.0
    assert read(tmp_path / "trace.jsonl.1")[0]["began"] == 997.0


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TraceFile(str(tmp_path / "trace.jsonl"), SECRET)
    monkeypatch.setattr(writer, "MAX_WAITING_LINES", 3)
    for _ in range(5):
        file.write(record(), prompt(1), None)
    assert file.dropped == 2
    file.flush()
    monkeypatch.setattr(writer, "MAX_WAITING_TOKENS", 100)
    for _ in range(5):
        file.write(record(), prompt(1), None)
    assert file.dropped == 2 + 3
    file.close()


def test_a_disk_that_fails_costs_lines_and_no_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = tmp_path / "trace.jsonl", [0.0]
    path.write_text("of an earlier start\n")
    file = TraceFile(str(path), SECRET, clock=lambda: now[0])

    for _ in range(20):
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdopen", _full_file)
            file.write(record(), prompt(1), None)
            file.flush()
            file.write(record(), prompt(1), None)
            file.flush()  # rests
        now[0] += RETRY_S
    assert file.dropped == 40
    assert (tmp_path / "trace.jsonl.1").read_text() == "of an earlier start\n"
    assert not (tmp_path / "trace.jsonl.2").exists()
    file.write(record(), prompt(1), None)
    file.close()
    assert len(read(path)) == 2


class _FullFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise AssertionError("nothing was written")

    def close(self) -> None:
        os.close(self._descriptor)


def _full_file(descriptor: int, mode: str) -> _FullFile:
    return _FullFile(descriptor)


def test_a_folder_that_is_not_there_costs_lines_alone(tmp_path: Path) -> None:
    file = TraceFile(str(tmp_path / "no" / "trace.jsonl"), SECRET)
    file.write(record(), prompt(1), None)
    file.close()
    assert file.dropped == 1


def test_a_trace_file_that_is_off_writes_and_counts_nothing() -> None:
    file = TraceFile("", SECRET)
    file.write(record(), prompt(1), None)
    file.close()
    assert not file.enabled
    assert file.dropped == 0
