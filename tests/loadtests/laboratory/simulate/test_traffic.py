"""When sessions start, and what a mix comes to."""

import random
from dataclasses import replace
from itertools import islice, takewhile

import pytest

from loadtests.laboratory.simulate.traffic import Mix, capped, distinct_tokens
from tests.loadtests.laboratory.simulate.scripts import growing, script


def test_a_mix_knows_its_averages() -> None:
    mix = Mix([script("a", [10, 20], think_s=3.0), script("b", [30])])
    assert (mix.turns, mix.duration_s) == (1.5, (1 + 3 + 1 + 1) / 2)
    assert mix.live_sessions(3.0) == 2.0 * mix.duration_s
    held = (10 * 64 + 32) * 4 + (20 * 64 + 32) * 1 + (30 * 64 + 32) * 1
    assert mix.working_set(3.0) == pytest.approx(3.0 / 1.5 * held / 2)
    assert mix.largest() == 30 * 64 + 32 + 20


def test_sessions_start_at_the_rate_asked_for_and_some_are_under_way_at_the_start() -> None:
    mix = Mix(growing(20))
    starts = [*takewhile(lambda start: start.at_s < 400.0, mix.starts(20.0, 10.0, random.Random(1)))]
    assert [start.at_s for start in starts] == sorted(start.at_s for start in starts)
    fresh = [start for start in starts if not start.session.turn]
    assert len(fresh) == pytest.approx(400 * 20.0 / mix.turns, rel=0.12)
    under_way = [start for start in starts if start.session.turn]
    assert 0.3 * mix.live_sessions(20.0) < len(under_way) < 1.2 * mix.live_sessions(20.0)
    assert max(start.at_s for start in under_way) < 10.0
    assert len({start.session.name for start in starts}) == len(starts)


def test_the_same_seed_starts_the_same_sessions() -> None:
    def names(seed: int) -> list[tuple[float, bytes]]:
        starts = islice(Mix(growing(5)).starts(3.0, 10.0, random.Random(seed)), 50)
        return [(start.at_s, start.session.name) for start in starts]

    assert names(4) == names(4) != names(5)


def test_a_recorded_trace_is_played_once_around_at_the_rate_asked_for() -> None:
    scripts = [replace(script(f"r{n}", [4]), starts_s=float(n)) for n in range(101)]
    starts = [*Mix(scripts).starts(10.1, 0.0, random.Random(3))]
    assert sorted(start.session.script.name for start in starts) == sorted(one.name for one in scripts)
    assert [start.at_s for start in starts] == sorted(start.at_s for start in starts)
    assert starts[0].at_s == 0.0
    assert starts[-1].at_s == pytest.approx(9.9, abs=0.11)
    assert Mix(scripts).working_set(1.0) == Mix(scripts).working_set(9.0) == distinct_tokens(scripts)


def test_the_working_set_of_single_requests_is_what_a_run_plays() -> None:
    scripts = [replace(script(f"r{n}", [4]), starts_s=float(n)) for n in range(20)]
    assert Mix(scripts, window=5).working_set(1.0) == distinct_tokens(scripts) / 4
    assert Mix(scripts, window=50).working_set(1.0) == distinct_tokens(scripts)


def test_long_pauses_are_cut_and_long_prompts_left_out() -> None:
    scripts = [script("a", [10, 20], think_s=500.0), script("b", [900])]
    (kept,) = capped(scripts, 60.0, 10_000)
    assert [turn.think_s for turn in kept.turns] == [0.0, 60.0]
    with pytest.raises(ValueError, match="no session"):
        Mix(capped(scripts, 60.0, 10))
