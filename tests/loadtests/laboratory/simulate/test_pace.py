"""Estimates of engines' pace, against the engine itself."""

import dataclasses

import pytest

from loadtests.engine.job import Job
from loadtests.engine.profiles import PROFILES
from loadtests.engine.scheduler import Progress
from loadtests.laboratory.simulate.engine import VirtualEngine
from loadtests.laboratory.simulate.pace import Pace, cold_s
from loadtests.laboratory.simulate.timeline import Timeline
from loadtests.laboratory.simulate.traffic import Mix
from tests.loadtests.laboratory.simulate.scripts import growing


@pytest.mark.parametrize("name", ["qwen3-32b-2xh100", "minimax-m2.5-8xh20"])
@pytest.mark.parametrize("tokens", [100, 9_000, 60_000])
def test_a_cold_prompt_takes_an_idle_engine_as_long_as_is_said(name: str, tokens: int) -> None:
    timeline, told = Timeline(), list[Progress]()
    profile = dataclasses.replace(PROFILES[name], block_tokens=64)
    VirtualEngine(timeline, profile, told.append).submit(Job([*range(1, tokens // 64 + 1)], tokens, 1))
    while timeline.step():
        pass
    assert told[0].at == pytest.approx(cold_s(profile, tokens), rel=0.01)


def test_answers_take_longer_the_busier_the_engines_are() -> None:
    profile = PROFILES["qwen3-32b-2xh100"]
    pace = Pace(Mix(growing(10)), profile)
    rates = [share * pace.first_guess(8) for share in (0.1, 1.0, 1.8, 50.0)]
    durations = [pace.paced(8, rate).duration_s for rate in rates]
    assert durations == sorted(durations)
    assert durations[-1] < 40 * durations[0]  # no estimate runs away
    mix = pace.paced(8, rates[0])
    assert [len(script.turns) for script in mix.scripts] == [len(script.turns) for script in growing(10)]
