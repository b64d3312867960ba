"""The breaker: what opens it, what never does, and how it closes again. Time is a number that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.fleet.breaker import SATURATION_FACTOR, WINDOW_S, Breaker, BreakerState, Fault, fault_of_status

HARD = [Fault.CONNECT, Fault.RESET, Fault.TIMEOUT, Fault.ERROR]


class Clock:
    """Seconds, moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, failures=3, open_s=5.0)


def state(breaker: Breaker) -> BreakerState:
    """A call, so that the type checker does not hold the last answer for the next one."""
    return breaker.state


def fail(breaker: Breaker, times: int, fault: Fault = Fault.ERROR) -> None:
    for _ in range(times):
        breaker.failure(fault)


def test_begins_closed(breaker: Breaker) -> None:
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.allow()


@pytest.mark.parametrize("fault", HARD)
def test_opens_after_so_many_faults_in_a_row(breaker: Breaker, fault: Fault) -> None:
    fail(breaker, 2, fault)
    assert breaker.allow()
    fail(breaker, 1, fault)
    assert state(breaker) is BreakerState.OPEN
    assert not breaker.allow()


def test_a_success_between_begins_the_row_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    for _ in range(4):
        breaker.success()
    fail(breaker, 2)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker, 1)
    assert state(breaker) is BreakerState.OPEN


def test_opens_when_more_than_half_fail(breaker: Breaker) -> None:
    for _ in range(2):
        breaker.failure(Fault.ERROR)
        breaker.success()
    assert state(breaker) is BreakerState.CLOSED
    breaker.failure(Fault.ERROR)
    assert state(breaker) is BreakerState.OPEN


def test_half_failing_is_not_more_than_half(breaker: Breaker) -> None:
    for _ in range(50):
        breaker.failure(Fault.ERROR)
        breaker.success()
        breaker.success()
    assert state(breaker) is BreakerState.CLOSED


def test_share_forgets_what_is_older_than_the_window(breaker: Breaker, clock: Clock) -> None:
    for _ in range(20):
        breaker.failure(Fault.ERROR)
        breaker.success()
        clock.now += WINDOW_S / 2 + 0.5
    assert state(breaker) is BreakerState.CLOSED


def test_old_successes_do_not_hide_a_new_fault(breaker: Breaker, clock: Clock) -> None:
    breaker.failure(Fault.ERROR)
    for _ in range(100):
        breaker.success()
    clock.now += WINDOW_S + 1
    for _ in range(2):
        breaker.failure(Fault.ERROR)
        breaker.success()
    breaker.failure(Fault.ERROR)
    assert state(breaker) is BreakerState.OPEN


def test_shed_load_opens_late(breaker: Breaker) -> None:
    fail(breaker, SATURATION_FACTOR * 3 - 1, Fault.SATURATED)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker, 1, Fault.SATURATED)
    assert state(breaker) is BreakerState.OPEN


def test_shed_load_neither_adds_to_the_faults_nor_excuses_them(breaker: Breaker) -> None:
    fail(breaker, 2)
    fail(breaker, 5, Fault.SATURATED)
    assert state(breaker) is BreakerState.CLOSED
    fail(breaker, 1)
    assert state(breaker) is BreakerState.OPEN


def test_a_success_between_shed_requests_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(20):
        fail(breaker, SATURATION_FACTOR * 3 - 1, Fault.SATURATED)
        breaker.success()
    assert state(breaker) is BreakerState.CLOSED


def test_answers_that_begin_and_fall_silent_open_it(breaker: Breaker) -> None:
    for _ in range(3):
        assert state(breaker) is BreakerState.CLOSED
        breaker.success()
        breaker.failure(Fault.SILENT)
    assert state(breaker) is BreakerState.OPEN


def test_a_whole_answer_between_silent_ones_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(9):
        breaker.success()
        breaker.failure(Fault.SILENT)
        breaker.success()
        breaker.whole()
    assert state(breaker) is BreakerState.CLOSED


def test_after_silence_only_a_whole_answer_closes(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3, Fault.SILENT)
    clock.now += 5
    breaker.begin()
    breaker.success()
    assert state(breaker) is BreakerState.HALF_OPEN
    assert not breaker.allow()
    breaker.whole()
    assert state(breaker) is BreakerState.CLOSED


def test_half_open_lets_one_request_through_at_a_time(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 4.9
    assert not breaker.allow()
    clock.now += 0.1
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.allow()
    assert breaker.allow(), "asking takes nothing: many candidates are asked, one is chosen"
    breaker.begin()
    assert not breaker.allow()


def test_success_of_the_trial_closes(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    breaker.begin()
    breaker.success()
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.allow()
    fail(breaker, 2)
    assert state(breaker) is BreakerState.CLOSED, "what was before it opened is forgotten"


@pytest.mark.parametrize("fault", list(Fault))
def test_failure_of_the_trial_opens_again(breaker: Breaker, clock: Clock, fault: Fault) -> None:
    fail(breaker, 3)
    clock.now += 5
    breaker.begin()
    breaker.failure(fault)
    assert state(breaker) is BreakerState.OPEN
    clock.now += 4.9
    assert not breaker.allow()
    clock.now += 0.1
    assert breaker.allow()


def test_an_abandoned_trial_makes_room_for_another(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    breaker.begin()
    breaker.abandon()
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.allow()


def test_a_trial_without_verdict_does_not_block_for_ever(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 5
    breaker.begin()
    clock.now += 4.9
    assert not breaker.allow()
    clock.now += 0.1
    assert breaker.allow()


def test_verdicts_on_requests_sent_before_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 4
    fail(breaker, 5)
    breaker.success()
    assert state(breaker) is BreakerState.OPEN
    clock.now += 1
    assert state(breaker) is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (200, None),
        (400, None),
        (404, None),
        (429, None),
        (499, None),
        (500, Fault.ERROR),
        (501, None),
        (502, Fault.ERROR),
        (503, Fault.SATURATED),
        (504, Fault.ERROR),
    ],
)
def test_some_statuses_are_faults(status: int, fault: Fault | None) -> None:
    assert fault_of_status(status) is fault


@pytest.mark.parametrize(("failures", "open_s"), [(0, 1.0), (1, 0.0)])
def test_settings_without_sense_are_refused(failures: int, open_s: float) -> None:
    with pytest.raises(ValueError, match="breaker"):
        Breaker(Clock(), failures, open_s)


@given(st.lists(st.tuples(st.sampled_from([*Fault, "ok", "whole", "begin", "abandon"]), st.floats(0, 20)), max_size=60))
def test_whatever_happened_rest_and_a_whole_answer_close_it(steps: list[tuple[Fault | str, float]]) -> None:
    clock = Clock(0.0)
    breaker = Breaker(clock, failures=2, open_s=5.0)
    for step, pause_s in steps:
        clock.now += pause_s
        if isinstance(step, Fault):
            breaker.failure(step)
        else:
            steps_of = {"ok": breaker.success, "whole": breaker.whole}
            {**steps_of, "begin": breaker.begin, "abandon": breaker.abandon}[step]()
        assert (state(breaker) is BreakerState.CLOSED) <= breaker.allow()
        assert (state(breaker) is BreakerState.OPEN) <= (not breaker.allow())
    clock.now += 5
    assert breaker.allow()
    breaker.begin()
    breaker.success()
    breaker.whole()
    assert state(breaker) is BreakerState.CLOSED
