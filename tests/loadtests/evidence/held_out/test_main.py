"""A small comparison from a trace on disk to a table."""

import json
from pathlib import Path

import pytest

from loadtests.evidence.held_out import __main__ as command
from loadtests.evidence.held_out.cells import Cell
from loadtests.laboratory.simulate.outcomes import Outcome

CELL = Cell("some", "llama-3.1-8b-a100", 3, 0.5, 0.5)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [
        {"timestamp": 200 * n, "input_length": 2_000, "output_length": 20, "hash_ids": [0, 10 * n, n + 1, n + 2]}
        for n in range(60)
    ]
    (tmp_path / "some.jsonl.zst").write_bytes(_packed("\n".join(map(json.dumps, rows))))
    monkeypatch.setattr(command, "REQUESTS", 40)
    command.scripts.cache_clear()
    return tmp_path


def _packed(text: str) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    return bytes(zstandard.ZstdCompressor().compress(text.encode()))


def test_runs_are_kept_and_not_run_again(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms, path = ("expected_ttft", "random"), data / "runs.jsonl"
    runs = command.play(data, [CELL], arms, (1, 2), path)
    assert len(runs) == len(path.read_text().splitlines()) == 4
    monkeypatch.setattr(command, "Run", None)
    assert command.play(data, [CELL], arms, (1, 2), path) == {key: list(value) for key, value in runs.items()}
    table, cells = command.tables(runs, [CELL], arms, (1, 2))
    assert [row[0] for row in table.rows] == ["random"]
    assert cells.rows[0][0] == str(CELL)


def test_a_trap_is_found_by_its_name(data: Path) -> None:
    trapped = command.scenario(data, CELL._replace(trap="one slow worker"))
    assert trapped.name == "one slow worker"
    assert trapped.profiles[0].prefill_rate < trapped.profiles[1].prefill_rate
    assert command.scenario(data, CELL).requests_per_s > 0


def test_a_request_without_a_first_token_waited_as_long_as_clients_do() -> None:
    answered, refused = (Outcome(5.0, 100, 10, 0, 0.1) for _ in range(2))
    answered.first_byte, refused.error = 7.0, "queue_timeout"
    assert command.measured([answered, refused, Outcome(5.0, 1, 1, 0, 0.1, measured=False)], 120.0) == (
        61.0, 61.0, pytest.approx(108.2), 1.0,
    )  # fmt: skip
