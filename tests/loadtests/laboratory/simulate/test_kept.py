"""The file of a sweep."""

from pathlib import Path

import pytest

from loadtests.laboratory.simulate.kept import Facts, Kept, RunKey
from tests.loadtests.laboratory.simulate.test_verdict import run

STEADY = Facts("steady", 0.8, 3.0, 0.5)
SETTINGS = {"workers": 8, "routers": (1, 0.005)}


def test_what_was_told_is_read_again(tmp_path: Path) -> None:
    written = Kept(tmp_path / "cells.jsonl", SETTINGS)
    written.knee("steady", 3.75)
    for seed in (1, 2):
        written.run(STEADY, "ours", seed, run(ttft_p50=0.1 * seed, ttft_curve=(1.0, 2.0)))
    read = Kept(tmp_path / "cells.jsonl", SETTINGS)
    assert (read.knees, read.facts) == (written.knees, written.facts)
    assert str(read.runs) == str(written.runs)  # figures that there are not are NaN, which equals nothing
    assert read.runs[RunKey("steady", 0.8, "ours", 2)].ttft_p50 == 0.2


def test_a_forgotten_arm_is_gone_and_can_come_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cells.jsonl", SETTINGS)
    kept.run(STEADY, "ours", 1, run(ttft_p50=1.0))
    kept.run(STEADY, "other", 1, run(ttft_p50=2.0))
    kept.forget("ours")
    assert [key.arm for key in kept.runs] == ["other"]
    kept.run(STEADY, "ours", 1, run(ttft_p50=3.0))
    read = Kept(tmp_path / "cells.jsonl", SETTINGS)
    assert read.runs[RunKey("steady", 0.8, "ours", 1)].ttft_p50 == 3.0


@pytest.mark.parametrize("text", ["no json\n", '{"settings": {"workers": 4}}\n'])
def test_a_file_of_other_settings_or_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cells\.jsonl"):
        Kept(path, SETTINGS)
