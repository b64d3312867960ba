"""`warmroute-lab claims` goes on where it was, and says what it found."""

import json
from pathlib import Path

import pytest

from loadtests.lab import main
from loadtests.laboratory.claims.command import CLAIMS

pytestmark = pytest.mark.slow


def test_runs_are_kept_and_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "claims.jsonl"
    asked = ["claims", "--results", str(results), "--only", "audited", "--seeds", "1", "--quiet"]
    assert main(asked) == 0
    first = capsys.readouterr().out
    lines = results.read_text().splitlines()
    assert len(lines) == 4
    kept = json.loads(lines[0])
    kept["figures"]["hit"] = 0.4242
    results.write_text("\n".join([json.dumps(kept), *lines[1:]]) + "\n")
    assert main(asked) == 0
    again = capsys.readouterr().out
    assert len(results.read_text().splitlines()) == 4
    assert "42.4 %" in again or "42.4 (" in again
    assert "| 69-73 % |" in first


def test_a_claim_that_nobody_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--results", str(tmp_path / "r"), "--only", "no such thing"]) == 2
    assert "no such claim" in capsys.readouterr().err


def test_each_arm_of_a_claim_has_a_name_of_its_own() -> None:
    names = [claim.name for claim in CLAIMS]
    assert len(set(names)) == len(names)
    for claim in CLAIMS:
        arms = [arm.name for arm in claim.arms]
        assert len(set(arms)) == len(arms)
        assert claim.conditions
        assert claim.source
