"""Runs in a file."""

import math
from pathlib import Path

import pytest

from loadtests.laboratory.pressure.figures import Figures
from loadtests.laboratory.pressure.kept import Kept, RunKey

FIGURES = Figures(1.5, 0.5, math.inf, 1.0, 2.0, 3.0, 4.0, math.inf, 3, 3.5, 1, 0)


def test_what_was_played_is_there_again(tmp_path: Path) -> None:
    file, key = tmp_path / "runs.jsonl", RunKey("a cell", 240.0, 3)
    Kept(file).add(key, FIGURES)
    Kept(file).add(key._replace(seed=4), FIGURES)
    assert Kept(file).runs == {key: FIGURES, key._replace(seed=4): FIGURES}


def test_without_a_file_nothing_is_written() -> None:
    kept = Kept(None)
    kept.add(RunKey("c", 0.0, 1), FIGURES)
    assert kept.runs == {RunKey("c", 0.0, 1): FIGURES}


@pytest.mark.parametrize("line", ["{", "[]", '{"run": ["c", 0, 1]}', '{"run": ["c", 0, 1], "figures": {"turns": 1}}'])
def test_a_file_of_something_else_is_said(tmp_path: Path, line: str) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"runs\.jsonl, line 1"):
        Kept(file)
