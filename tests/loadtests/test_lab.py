"""The command, from a trace on disk to tables and a report."""

import json
from pathlib import Path

import pytest

from loadtests.lab import main

pytestmark = pytest.mark.slow

SYSTEM = "You are an agent. " * 200


def log(path: Path) -> Path:
    """A request log of one's own: 12 sessions of 4 turns."""
    lines = []
    for session in range(12):
        messages = [{"role": "system", "content": SYSTEM}]
        for turn in range(4):
            messages.append({"role": "user", "content": f"session {session} turn {turn} " * 150})
            row = {"t": session * 2.0 + turn * 5.0, "session": str(session), "body": {"messages": list(messages)}}
            lines.append(json.dumps(row | {"answer_tokens": 20, "took_s": 1.0}))
            messages.append({"role": "assistant", "content": "done " * 20})
    path.write_text("\n".join(lines))
    return path


def simulate(tmp_path: Path, *options: str) -> int:
    trace = log(tmp_path / "mine.jsonl")
    few = ["--profile", "llama-3.1-8b-a100", "--workers", "3", "--requests", "40", "--seeds", "2", "--quiet"]
    return main(["simulate", str(trace), *few, *options])


def test_simulate_prints_a_table_and_writes_figures_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, report = tmp_path / "out.json", tmp_path / "out.html"
    arms = ["--policy", "expected_ttft", "--policy", "round_robin"]
    assert simulate(tmp_path, "--rate", "5", *arms, "--json", str(figures), "--html", str(report)) == 0
    printed = capsys.readouterr().out
    assert "| expected_ttft | " in printed and "Times expected_ttft" in printed
    found = json.loads(figures.read_text())
    assert [len(runs) for runs in found["arms"].values()] == [2, 2]
    hits = {arm: sum(run["hit"] for run in runs) for arm, runs in found["arms"].items()}
    assert hits["expected_ttft"] > hits["round_robin"]
    page = report.read_text()
    assert page.count("<svg") == 3
    assert page.count("<table") == 2
    assert "http" not in page  # it loads nothing


def test_the_load_can_be_a_share_of_the_knee(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path, "--load", "0.5", "--policy", "expected_ttft", "--capacity-ratio", "0.5") == 0
    assert "(50% of the knee)" in capsys.readouterr().out


def test_several_processes_give_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for jobs in ("1", "2"):
        assert simulate(tmp_path, "--rate", "5", "--jobs", jobs, "--policy", "lmetric", "--policy", "random") == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "fastest"), "unknown policy 'fastest'"),
        (("--rate", "0"), "--rate must be more than 0"),
        (("--seeds", "0"), "--seeds must be at least 1"),
        (("--max-tokens", "10"), "no session"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert simulate(tmp_path, *options) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("warmroute-lab: error: ") and said in shown and shown.count("\n") == 1


def sweep(tmp_path: Path, *options: str) -> int:
    few = ["--profile", "llama-3.1-8b-a100", "--workers", "2", "--requests", "30", "--seeds", "2", "--quiet"]
    traces = [str(log(tmp_path / "mine.jsonl"))]
    return main(["policies", *traces, *few, "--results", str(tmp_path / "cells.jsonl"), "--loads", "0.8", *options])


ARMS = ("--policy", "expected_ttft", "--policy", "random")


def test_policies_sweeps_and_makes_no_run_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "cells.jsonl"
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5,2") == 0
    first, stamp = capsys.readouterr().out, results.read_text()
    assert "in every cell" in first and "below an infinite cache" in first
    assert stamp.count('"arm": "random"') == 4
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5,2") == 0
    assert (results.read_text(), capsys.readouterr().out) == (stamp, first)


def test_an_interrupted_sweep_goes_on_and_a_changed_arm_runs_again_under_the_same_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "cells.jsonl"
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5") == 0
    first, lines = capsys.readouterr().out, results.read_text().splitlines()
    results.write_text("\n".join(lines[:-2]) + "\n")
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5") == 0
    assert sorted(results.read_text().splitlines()) == sorted(lines)
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5", "--again", "random", "--every-arm") == 0
    again = results.read_text().splitlines()
    assert len(again) == len(lines) + 3  # that it was forgotten, and two runs
    assert first in capsys.readouterr().out.replace("\n\n\n", "\n\n")


def test_a_report_runs_nothing_and_takes_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5,2") == 0
    swept, results = capsys.readouterr().out, tmp_path / "cells.jsonl"
    assert sweep(tmp_path, "--report") == 0
    assert capsys.readouterr().out == swept
    lines = results.read_text().splitlines()
    results.write_text("\n".join(lines[:-1]) + "\n")  # a seed of one arm is missing in the last cell
    assert sweep(tmp_path, "--report") == 0
    assert capsys.readouterr().out.count("memory 0.5") == swept.count("memory 0.5")
    assert len(results.read_text().splitlines()) == len(lines) - 1
    assert sweep(tmp_path, "--report", "--seeds", "9") == 2
    assert "no cell with 9 runs" in capsys.readouterr().err


def test_a_file_of_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5") == 0
    assert sweep(tmp_path, *ARMS, "--ratios", "0.5", "--max-think-s", "1") == 2
    assert "other settings" in capsys.readouterr().err


def test_routers_compares_several_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--profile", "llama-3.1-8b-a100", "--workers", "2", "--requests", "30", "--seeds", "2", "--quiet"]
    command = ["routers", str(log(tmp_path / "mine.jsonl")), *few, "--counts", "2", "--late-ms", "5,500"]
    assert main([*command, "--rate", "5"]) == 0
    rows = capsys.readouterr().out.splitlines()[4:]
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 2, 5 ms late", "| 2, 500 ms late"]
    assert main(command) == 2
    assert "needs --rate" in capsys.readouterr().err


def test_a_missing_trace_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err
