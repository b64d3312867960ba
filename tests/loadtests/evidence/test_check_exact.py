"""The check of whole session files, on files made here."""

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import zstandard
from transformers import PreTrainedTokenizerFast

from loadtests.evidence.check_exact import Check, Subject, flattened, interleaved, main
from tests.tokenizer_cache.random_chats import body_of
from tests.tokenizer_cache.small import CHATML, GEMMA, small_raw

pytestmark = pytest.mark.slow

CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.py"}'}}
POOL: list[dict[str, Any]] = [
    {"role": "system", "content": "You are an agent."},
    {"role": "user", "content": "read the file"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "its lines\n"},
    {"role": "assistant", "content": "done"},
    {"role": "user", "content": "write a test"},
]
SESSION = {"messages": POOL, "requests": [{"spans": [[0, end]]} for end in (2, 4, 6)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("small")
    make: Any = PreTrainedTokenizerFast
    make(tokenizer_object=small_raw(), bos_token="<bos>", chat_template=CHATML).save_pretrained(path)
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    sessions = [{"id": name, **SESSION} for name in "abc"]
    lines = "".join(json.dumps(session) + "\n" for session in sessions)
    (tmp_path / "made.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines.encode()))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "gemma.jinja").write_text(GEMMA)
    return tmp_path


def test_a_table_of_what_was_compared(folder: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--data", str(data), "--tokenizer", f"chatml={folder}", "--tokenizer", f"gemma={folder}"]
    state = data / "state.json"
    rest = ["--files", "made", "--every", "2", "--state", str(state)]
    assert main([*asked, *rest]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "made" in line]
    assert [row.split(" | ")[2:4] for row in rows] == [["9", "5"], ["9", "5"]]
    assert [row.split(" | ")[5:8] for row in rows] == [["5", "0", "0"], ["5", "0", rows[1].split(" | ")[7]]]
    assert int(rows[1].split(" | ")[7]) == 6, "tool calls go to this template as plain text"
    state.write_text(state.read_text().replace("9", "8"))
    main([*asked, *rest])
    assert "| 8 |" in capsys.readouterr().out, "what is done is not done again"


def test_ends_with_what_was_reached(folder: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, ended = data / "state.json", threading.Event()
    ended.set()
    asked = ["--data", str(data), "--tokenizer", f"chatml={folder}", "--tokenizer", f"gemma={folder}"]
    assert main([*asked, "--files", "made", "--state", str(state)], ended) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "made" in line]
    assert [row.split(" | ")[2] for row in rows] == ["0"], "no second row is begun"
    assert not state.exists(), "a row cut short is done again"


def test_a_difference_is_seen(folder: str) -> None:
    check = Check(Subject("a", folder, CHATML + "!"), 1 << 20)
    other = Check(Subject("b", folder, CHATML), 1 << 20)
    body = body_of([{"role": "user", "content": "hello"}])
    assert check.one(body, True).outcome == other.one(body, True).outcome == "equal"
    check.encoder = other.encoder
    assert check.one(body, True).outcome == "different"


def test_sessions_are_interleaved_and_each_is_in_order() -> None:
    sessions = [{"id": name, **SESSION} for name in "abcd"]
    order = [(name, len(body["messages"])) for name, body in interleaved(sessions, 3, random.Random(1))]
    assert len(order) == 12
    assert [length for name, length in order if name == "b"] == [2, 4, 6]
    assert [name for name, _ in order] != sorted(name for name, _ in order)


def test_a_plain_form_alternates() -> None:
    roles = [message["role"] for message in flattened(POOL)]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message["role"] for message in flattened(POOL[2:4])] == ["user", "assistant", "user"]
