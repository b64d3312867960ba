"""The command, from a trace on disk and a live server to a report."""

import json
from pathlib import Path

import pytest

from loadtests.lab import main
from loadtests.laboratory.replay.progress import NothingWorksError, Progress
from loadtests.laboratory.replay.record import Record
from tests.engines import EngineThread


def log(path: Path, sessions: int = 4) -> Path:
    lines = []
    for session in range(sessions):
        messages: list[dict[str, str]] = []
        for turn in range(3):
            messages += [{"role": "user", "content": f"session {session} turn {turn} " * 60}]
            row = {"t": session * 0.1 + turn, "session": str(session), "body": {"messages": list(messages)}}
            lines.append(json.dumps(row | {"answer_tokens": 8, "took_s": 0.1}))
            messages += [{"role": "assistant", "content": "done " * 20}]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("loop", ["closed", "poisson", "recorded"])
def test_a_replay_says_what_client_and_engine_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], loop: str
) -> None:
    figures, records = tmp_path / "f.json", tmp_path / "r.jsonl"
    with EngineThread() as engine:
        command = ["replay", engine.url, str(log(tmp_path / "l.jsonl")), "--loop", loop, "--engine", engine.url]
        command += ["--rate", "50", "--max-think-s", "0.01", "--skip-turns", "1", "--quiet"]
        assert main([*command, "--json", str(figures), "--records", str(records)]) == 0
    printed = capsys.readouterr().out
    assert "4 requests not counted: first 1 turns of each session" in printed
    found = json.loads(figures.read_text())
    assert (found["requests"], found["errors"], found["reported"]) == (8, {}, 1.0)
    assert 0.5 < found["hit_rate"] < 1
    assert found["engines"][engine.url]["requests"] == 12
    assert len(records.read_text().splitlines()) == 12


def test_copies_fill_the_time_and_the_key_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    figures = tmp_path / "f.json"
    with EngineThread(api_key="secret") as engine:
        command = ["replay", f"{engine.url}/v1", str(log(tmp_path / "l.jsonl", 1)), "--api-key-env", "MY_KEY"]
        command += ["--sessions", "2", "--max-think-s", "0", "--duration-s", "1", "--quiet", "--json", str(figures)]
        assert main(command) == 0
    assert json.loads(figures.read_text())["requests"] > 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sessions", "0"], "--sessions must be more than 0"),
        (["--duration-s", "5", "--warmup-s", "9"], "--duration-s must be longer"),
        (["--body", "[1]"], "--body must be a JSON object"),
        (["--engine", "http://127.0.0.1:9", "--model", "m"], "/metrics does not answer"),
        ([], "http://127.0.0.1:9/v1 does not answer"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["replay", "http://127.0.0.1:9", str(log(tmp_path / "l.jsonl")), *options]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("warmroute-lab: error: ") and said in shown and shown.count("\n") == 1


def test_a_base_url_without_scheme_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "router:8080", str(log(tmp_path / "l.jsonl"))]) == 2
    assert "is no base_url" in capsys.readouterr().err


def test_sessions_without_arrivals_cannot_be_replayed_as_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.jsonl"
    row = {"id": "x", "messages": [{"role": "user", "content": "x"}], "requests": [{"spans": [[0, 1]], "t": 0}]}
    path.write_text(json.dumps(row))
    assert main(["replay", "http://127.0.0.1:9", str(path), "--loop", "recorded"]) == 2
    assert "does not say when its sessions began" in capsys.readouterr().err


def test_a_replay_in_which_nothing_works_ends_soon() -> None:
    progress = Progress(quiet=True)
    bad = Record("s", 0, 0.0, 0.0, 0.0, "status 401", "no key")
    for _ in range(19):
        progress.saw(bad)
    with pytest.raises(NothingWorksError, match="status 401: no key"):
        progress.saw(bad)


def test_failures_after_a_success_do_not_end_it() -> None:
    progress = Progress(quiet=True)
    progress.saw(Record("s", 0, 0.0, 0.0, 0.0))
    for _ in range(40):
        progress.saw(Record("s", 0, 0.0, 0.0, 0.0, "status 503"))
    assert progress.failed == 40
