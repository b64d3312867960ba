"""Leases, T*, and whether waiting is worth while, from turns as they come."""

import random

import pytest

from router.sessions.admission.model_demand import JUDGED_EVERY_S, LIVE_MOST_S, ModelDemand
from router.sessions.memory.session import Ending, Session
from router.sessions.recognition.book import MAX_SESSIONS
from tests.router.fleets import make_fleet

CAPACITY = 400_000


def after(turns: int, pause_s: float, sessions: int = 24, ending: Ending = Ending.CALL) -> ModelDemand:
    """Sessions of 40,000 tokens, each turn 500 more, at 8,000 tokens a second."""
    demand, now = ModelDemand(), 0.0
    users = [Session() for _ in range(sessions)]
    for turn in range(turns):
        session = users[turn % sessions]
        if session.turns:
            demand.returned(session, pause_s)
        demand.began(session, now)
        demand.learn_turn(40_000, 500, 3.0)
        session.turns, session.ending, session.ended_at = session.turns + 1, ending, now
        now += 0.1
    demand.judge(make_fleet(2).groups["m"].workers, now, CAPACITY)
    return demand


def test_tstar_is_the_time_to_recompute_the_pools() -> None:
    assert after(0, 1.0).tstar_s == pytest.approx(CAPACITY / 16_000)
    assert after(0, 1.0).holds_back, "before anything is known"


def test_short_pauses_are_kept_and_waited_for() -> None:
    demand = after(300, 1.0)
    assert demand.holds_back
    assert 1.0 <= demand.lease_s(Ending.CALL) <= demand.tstar_s
    assert demand.lease_s(Ending.FIRST_ANSWER) == 0.0, "none of these has ever returned"


def test_pauses_of_people_are_not() -> None:
    demand = after(300, 100.0, sessions=200, ending=Ending.ANSWER)
    assert demand.lease_s(Ending.ANSWER) == 0.0


def test_a_turn_that_pauses_still_says_nothing() -> None:
    demand, workers = ModelDemand(), make_fleet(2).groups["m"].workers
    sessions = [Session() for _ in range(40)]
    for session in sessions:
        demand.began(session, 0.0)
        session.turns, session.ended_at = 1, 0.5
    demand.returned(sessions[0], 1.0)
    demand.judge(workers, 2.0, CAPACITY)
    assert demand.lease_s(Ending.FIRST_ANSWER) >= 1.0, "the only one of which anything is known came back"
    demand.judge(workers, 2.0 + LIVE_MOST_S, CAPACITY)
    assert demand.lease_s(Ending.FIRST_ANSWER) == 0.0, "the other 39 did not"


def test_who_has_returned_once_is_expected_again() -> None:
    demand = after(3 * 24, 1.0, ending=Ending.FIRST_ANSWER)
    assert demand.lease_s(Ending.ANSWER) >= 1.0
    assert after(3 * 24, 100.0, ending=Ending.FIRST_ANSWER).lease_s(Ending.ANSWER) == 0.0


def test_no_more_sessions_are_under_way_than_are_remembered() -> None:
    demand = ModelDemand()
    every = [Session() for _ in range(MAX_SESSIONS + 10)]
    for session in every:
        demand.began(session, 1.0)
    assert not any(demand.pauses(session) for session in every[:10])
    assert all(demand.pauses(session) for session in every[10:])


def test_it_is_judged_once_in_a_while_and_not_without_workers_or_memory() -> None:
    demand = ModelDemand()
    demand.judge([], 0.0, CAPACITY)
    assert demand.tstar_s == 0.0
    workers = make_fleet(2).groups["m"].workers
    demand.judge(workers, 0.0, CAPACITY)
    demand.judge(workers, JUDGED_EVERY_S / 2, 2 * CAPACITY)
    assert demand.tstar_s == pytest.approx(25.0)
    demand.judge(workers, JUDGED_EVERY_S, 0)
    assert (demand.tstar_s, demand.lease_s(Ending.CALL)) == (0.0, 0.0)


def test_a_turn_s_stay_is_that_of_turns_that_others_do_not_slow_down() -> None:
    rng, demand = random.Random(1), ModelDemand()
    for _ in range(2000):
        demand.learn_turn(40_000, 500, 4.0 if rng.random() < 0.3 else rng.uniform(20.0, 60.0))
    assert 3.0 < demand.stay_s < 8.0
