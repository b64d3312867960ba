"""`warmroute-lab pressure`, as it is typed."""

import json
from pathlib import Path

import pytest

from loadtests.lab import main


def log(path: Path, sessions: int = 6) -> Path:
    """A log of agents whose prompts grow by 2,000 characters a turn."""
    lines = []
    for session in range(sessions):
        messages: list[dict[str, str]] = []
        for turn in range(6):
            messages = [*messages, {"role": "user", "content": f"{session} {turn} " + "x" * 2_000}]
            body = {"messages": messages}
            record = {"t": 3.0 * turn, "session": str(session), "body": body, "answer_tokens": 5, "took_s": 0.5}
            lines.append(json.dumps(record))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def typed(tmp_path: Path, *more: str) -> list[str]:
    small = "--min-tokens 600 --max-tokens 5000 --min-turns 3 --kv-tokens 6000 --prefill-rate 4000 --seconds 40"
    return ["pressure", str(log(tmp_path / "log.jsonl")), *small.split(), "--quiet", *more]


def test_it_prints_a_table_for_each_ratio_and_draws_the_front(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, results = tmp_path / "front.svg", tmp_path / "runs.jsonl"
    asked = typed(tmp_path, "--ratios", "1,2", "--bounds", "0,20", "--seeds", "2", "--results", str(results))
    assert main([*asked, "--front", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| turns/s |") == 2
    assert "times bound 0" in printed
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    kept = results.read_text(encoding="utf-8")
    assert len(kept.splitlines()) == 8
    assert main(asked) == 0
    assert results.read_text(encoding="utf-8") == kept
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ratios", "0"], "--ratios"),
        (["--ratios", "two"], "two"),
        (["--bounds", "-1"], "--bounds"),
        (["--seeds", "0"], "--seeds"),
        (["--seconds", "nan"], "--seconds"),
        (["--kv-tokens", "4000"], "--kv-tokens"),
        (["--min-tokens", "4990"], "enough turns"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(typed(tmp_path, *more)) == 2
    assert said in capsys.readouterr().err
