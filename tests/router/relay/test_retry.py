"""What follows from an attempt; and that retries stay a share of traffic, while refused connections are free."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.relay.retry import (
    FREE_KINDS,
    RESERVE,
    RETRIED_STATUS,
    AttemptOutcome,
    Budget,
    Next,
    RetryBudget,
    answered,
    broke_off,
    gave_up,
    next_attempt,
)

PLENTY = Budget(RESERVE, 3)
SPENT = Budget(0.0, 3)
KINDS = ("connect", "connect_timeout", "reset", "protocol", "first_byte_timeout", "handshake_timeout")


@pytest.mark.parametrize("status", [101, 200, 204, 400, 404, 429, 499, 501, 505])
def test_what_a_worker_answers_is_the_answer(status: int) -> None:
    for attempts in (1, 3):
        for others in (True, False):
            assert next_attempt(answered(status), attempts, others, PLENTY) is Next.ANSWER


@pytest.mark.parametrize("kind", KINDS)
def test_an_attempt_without_an_answer_is_repeated_elsewhere(kind: str) -> None:
    assert next_attempt(AttemptOutcome(kind), 1, True, PLENTY) is Next.AGAIN
    assert next_attempt(AttemptOutcome(kind), 2, True, PLENTY) is Next.AGAIN
    assert next_attempt(AttemptOutcome(kind), 3, True, PLENTY) is Next.GIVE_UP
    assert next_attempt(AttemptOutcome(kind), 1, False, PLENTY) is Next.GIVE_UP


@pytest.mark.parametrize("status", sorted(RETRIED_STATUS))
def test_a_workers_own_error_is_passed_on_where_nobody_else_can_try(status: int) -> None:
    assert next_attempt(answered(status), 1, True, PLENTY) is Next.AGAIN
    assert next_attempt(answered(status), 1, False, PLENTY) is Next.ANSWER
    assert next_attempt(answered(status), 3, True, PLENTY) is Next.ANSWER
    assert next_attempt(answered(status), 1, True, SPENT) is Next.ANSWER


def test_an_error_that_may_be_the_requests_own_is_tried_once_more() -> None:
    assert next_attempt(answered(500), 1, True, PLENTY) is Next.AGAIN
    assert next_attempt(answered(500), 2, True, PLENTY) is Next.ANSWER
    assert next_attempt(answered(500), 1, True, Budget(RESERVE, 1)) is Next.ANSWER


def test_without_a_budget_refused_connections_still_move_on() -> None:
    assert next_attempt(AttemptOutcome("reset"), 1, True, SPENT) is Next.GIVE_UP
    for kind in FREE_KINDS:
        assert next_attempt(AttemptOutcome(kind), 1, True, SPENT) is Next.AGAIN


@given(
    outcome=st.builds(
        AttemptOutcome, kind=st.sampled_from(["", "status_503", *KINDS]), status=st.sampled_from([0, 200, 503])
    ),
    attempts=st.integers(1, 5),
    others=st.booleans(),
    budget=st.builds(Budget, st.floats(0, RESERVE), st.integers(1, 5)),
)
def test_nothing_is_repeated_that_has_begun_or_beyond_a_bound(
    outcome: AttemptOutcome[None], attempts: int, others: bool, budget: Budget
) -> None:
    begun = AttemptOutcome[None](outcome.kind, outcome.status, started=True)
    assert next_attempt(begun, attempts, others, budget) is (Next.BREAK_OFF if outcome.kind else Next.ANSWER)
    if not others or attempts >= budget.max_attempts:
        assert next_attempt(outcome, attempts, others, budget) is not Next.AGAIN


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("", (503, "no_worker", 1, "no_worker")),
        ("first_byte_timeout", (504, "worker_timeout", None, "worker_failed")),
        ("reset", (502, "worker_failed", 1, "worker_failed")),
    ],
)
def test_what_a_client_is_told_without_an_answer(kind: str, told: tuple[object, ...]) -> None:
    error = gave_up(kind)
    assert (error.status, error.code, error.retry_after_s, error.outcome) == told


def test_what_a_client_is_told_of_half_an_answer() -> None:
    assert broke_off("silence_timeout").message == "The worker fell silent in the middle of its answer."
    assert broke_off("worker_died").message == "The worker stopped in the middle of its answer."
    assert broke_off("worker_died").outcome == "worker_died"


def retries(budget: RetryBudget) -> int:
    """How many the budget has left."""
    count = 0
    while next_attempt(AttemptOutcome("reset"), 1, True, budget.left) is Next.AGAIN:
        budget.spend("reset")
        count += 1
    return count


def test_the_reserve_covers_one_dying_worker_and_then_the_share_counts() -> None:
    budget = RetryBudget(0.1, 3)
    assert retries(budget) == RESERVE
    for _ in range(11):
        budget.request()
    assert retries(budget) == 1


def test_no_ratio_is_no_budget() -> None:
    assert retries(RetryBudget(0.0, 3)) == 0


def test_saving_up_is_bounded() -> None:
    budget = RetryBudget(1.0, 3)
    for _ in range(10_000):
        budget.request()
    assert retries(budget) <= RESERVE + 1


def test_a_refused_connection_costs_nothing() -> None:
    budget = RetryBudget(0.1, 3)
    budget.spend("connect")
    assert budget.left == PLENTY
