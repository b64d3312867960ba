"""A trace is played once as it was, and the fleet changed in one thing is compared with that."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pytest

import loadtests.laboratory.traces
from loadtests import lab
from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate import command
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.what_if import RECORDED, rows, scenario_of, ways
from loadtests.laboratory.simulate.what_if import recorded as recorded_row
from loadtests.laboratory.traces.files import recorded
from loadtests.laboratory.traces.passed import Answered, RecordedTraffic

pytestmark = pytest.mark.slow

SAMPLE = Path(loadtests.laboratory.traces.__file__).parent / "sample.jsonl"


def asked(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_to(parser)
    return parser.parse_args([str(SAMPLE), "--quiet", *given])


@pytest.fixture(scope="module")
def traffic() -> RecordedTraffic:
    found = recorded([SAMPLE])
    assert found is not None
    return found


def test_each_conversation_is_played_once_and_begins_when_it_did(traffic: RecordedTraffic) -> None:
    scenario = scenario_of(asked(), traffic)
    assert (len(scenario.profiles), scenario.profiles[0].kv_tokens) == (2, 61_440)
    run = Run(scenario, "round_robin", 1)
    run.play()
    assert len(run.outcomes) == len(traffic.answered)
    came = {script.name: script.starts_s for script in traffic.scripts}
    first: dict[str, float] = {}
    for outcome in run.outcomes:
        first.setdefault(outcome.script, outcome.arrived)
        assert outcome.measured
        assert not math.isnan(outcome.ended)
    assert first == came


def test_the_sample_is_replayed_within_a_point_of_what_its_engines_reported(traffic: RecordedTraffic) -> None:
    was, replayed, *changed = ways(asked("--policy", "expected_ttft", "--seeds", "3"), traffic)
    assert (was.name, replayed.name) == (RECORDED, "expected_ttft")
    assert abs(was.hit - replayed.hit) < 0.01
    names = [one.name.removeprefix("expected_ttft, ") for one in changed]
    assert names == ["1 worker", "3 workers", "twice the KV memory", "a host tier of 245,760 tokens"]
    one, three, memory, tier = changed
    assert one.hit < replayed.hit <= min(three.hit, memory.hit, tier.hit)
    assert one.fleet_gpu_h == pytest.approx(replayed.fleet_gpu_h / 2)
    assert memory.fleet_gpu_h == replayed.fleet_gpu_h
    assert memory.prefill_gpu_h <= replayed.prefill_gpu_h < one.prefill_gpu_h
    cells = rows([was, replayed, *changed])
    assert [(row[6], row[8]) for row in cells[:2]] == [("-", "-"), ("-", "-")]
    assert float(cells[2][6]) < 0 < float(cells[2][8])  # one worker computes more, and costs less


def test_where_an_engine_did_not_say_what_was_cached_the_share_is_that_of_the_others() -> None:
    profile = PROFILES["demo"]
    told = [Answered(1000, 800, 0.1), Answered(3000, 2400, 0.3)]
    found = recorded_row([*told, Answered(500, None, 0.2)], profile, 1.0)
    assert found.hit == pytest.approx(0.8)
    assert found.ttft_p50 == 0.2
    assert found.prefill_gpu_h == recorded_row([*told, Answered(500, 400, 0.2)], profile, 1.0).prefill_gpu_h


def test_the_command_plays_a_trace_of_a_router_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    assert (
        lab.main(["simulate", str(SAMPLE), "--quiet", "--seeds", "1", "--policy", "round_robin", "--json", str(out)])
        == 0
    )
    told: list[dict[str, Any]] = json.loads(out.read_text())
    assert [one["name"] for one in told[:3]] == [RECORDED, "round_robin", "round_robin, 1 worker"]
    assert told[0]["prefill_gpu_h"] < told[1]["prefill_gpu_h"]  # round robin finds less cached
    assert "| round_robin, twice the KV memory |" in capsys.readouterr().out


def test_the_command_says_which_line_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"warmroute_trace": 1, "began": 1, "workers": []}\n{"at": 1}\n')
    assert lab.main(["simulate", str(path), "--quiet"]) == 2
    assert "line 2" in capsys.readouterr().err
