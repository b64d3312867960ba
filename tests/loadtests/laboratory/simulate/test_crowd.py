"""A closed loop: as many sessions as users, at all times."""

import random

import pytest

from loadtests.engine.profiles import PROFILES
from loadtests.laboratory.simulate.crowd import Crowd
from loadtests.laboratory.simulate.run import Run
from loadtests.laboratory.simulate.scenario import Scenario, fleet
from tests.loadtests.laboratory.simulate.scripts import growing, script


def test_every_user_starts_once_and_goes_on_after_a_pause() -> None:
    crowd = Crowd(growing(5), users=7, pause_s=(2.0, 3.0))
    starts = list(crowd.starts(1.0, 10.0, random.Random(1)))
    assert len(starts) == 7
    assert [start.at_s for start in starts] == sorted(start.at_s for start in starts)
    assert [start.session.user for start in starts] == [*range(7)]
    after = [crowd.after(starts[3].session, 100.0, random.Random(seed)) for seed in range(20)]
    assert all(start is not None and 102.0 <= start.at_s <= 103.0 and not start.session.turn for start in after)
    assert all(start is not None and start.session.user == 3 for start in after)


def test_a_crowd_is_no_busier_because_it_is_asked_for_a_rate() -> None:
    crowd = Crowd([script("a", [10, 20], think_s=3.0)], users=4)
    assert crowd.live_sessions(1.0) == crowd.live_sessions(50.0) == 4.0
    assert crowd.working_set(9.0) == pytest.approx(4 * ((10 * 64 + 32) * 4 + (20 * 64 + 32)) / 5)


@pytest.mark.parametrize("users", [1, 6])
def test_there_are_never_more_requests_at_once_than_users_and_they_go_on(users: int) -> None:
    crowd = Crowd(growing(5), users=users)
    scenario = Scenario("closed", crowd, 1.0, fleet(PROFILES["demo"], 2, crowd, 1.0, None), requests=60)
    run = Run(scenario, "least_loaded", 1)
    run.play()
    edges = sorted([(o.arrived, 1) for o in run.outcomes] + [(o.ended, -1) for o in run.outcomes if o.ended == o.ended])
    running, most = 0, 0
    for _, step in edges:
        running += step
        most = max(most, running)
    assert most == users
    assert len(run.outcomes) > users * max(len(one.turns) for one in crowd.scripts)


def test_with_prefix_caching_off_nothing_is_cached() -> None:
    crowd = Crowd(growing(5), users=3)
    workers = fleet(PROFILES["demo"], 1, crowd, 1.0, None)
    on, off = (
        Run(Scenario("closed", crowd, 1.0, workers, requests=30, prefix_caching=caching), "round_robin", 1).play()
        for caching in (True, False)
    )
    assert on.hit > 0.5
    assert off.hit == 0.0
    assert off.ideal_hit > 0.5
