"""Overdue first tokens: of whom they speak, and for how long."""

import pytest

from router.fleet.lateness import STAY_S, Lateness
from tests.router.clients.clock import Clock


def test_nothing_awaited_is_never_late() -> None:
    worker = Lateness(Clock(0))
    assert worker.late_s(1e9) == 0
    worker.dispatched("a", 10)
    assert (worker.late_s(9), worker.late_s(13)) == (0, 3)
    worker.answered("a")
    assert worker.late_s(13) == 0


def test_the_oldest_that_nobody_has_overtaken_counts() -> None:
    worker = Lateness(Clock(0))
    for number, due in enumerate((1, 2, 3, 4)):
        worker.dispatched(number, due)
    assert worker.late_s(10) == 9
    worker.answered(1)
    assert worker.late_s(10) == 7, "0 was overtaken, and says nothing any more"
    worker.answered(0)
    assert worker.late_s(10) == 7, "its own answer comes later, and changes nothing"
    worker.ended(2)
    assert worker.late_s(10) == 6
    worker.ended(2)
    worker.ended(3)
    assert worker.late_s(10) == 0


def test_the_stay_is_learned() -> None:
    clock = Clock(0)
    worker = Lateness(clock)
    assert worker.stay_s == STAY_S
    for number in range(100):
        worker.dispatched(number, clock.now)
        worker.answered(number)
        clock.now += 20
        worker.answered(number)
        worker.ended(number)
        worker.ended(number)
    assert worker.stay_s == pytest.approx(20, rel=0.01)


def test_what_an_idle_worker_always_takes_is_expected() -> None:
    clock = Clock(0)
    worker = Lateness(clock)
    for number in range(60):
        worker.dispatched(number, clock.now)
        clock.now += 5
        worker.answered(number)
        worker.ended(number)
    assert worker.usual_s == pytest.approx(5, rel=0.01)
    worker.dispatched("next", clock.now)
    assert worker.late_s(clock.now + 5) == pytest.approx(0, abs=0.05)
    assert worker.late_s(clock.now + 7) == pytest.approx(2, abs=0.05)


def test_a_busy_worker_teaches_no_patience() -> None:
    clock = Clock(0)
    worker = Lateness(clock)
    worker.dispatched("first", 0)
    worker.answered("first")
    for number in range(60):
        worker.dispatched(number, clock.now)
        clock.now += 5
        worker.answered(number)
        worker.ended(number)
    assert worker.usual_s == 0


def test_those_that_are_found_there_stay_longer_than_those_that_come() -> None:
    clock = Clock(0)
    worker = Lateness(clock)
    assert worker.stay_s == STAY_S
    for number in range(1_000):
        worker.answered(number)
        clock.now += 2 if number % 10 else 62  # one in ten stays long: the mean is 8
        worker.ended(number)
    assert worker.stay_s == pytest.approx((0.9 * 4 + 0.1 * 62**2) / 8, rel=0.1)
