"""Retries stay a share of traffic; refused connections are free."""

from router.relay.retry import RESERVE, RetryBudget


def test_the_reserve_covers_one_dying_worker_and_then_the_share_counts() -> None:
    budget = RetryBudget(0.1, 3)
    spent = 0
    while budget.allows("reset", 1):
        budget.spend("reset")
        spent += 1
    assert spent == RESERVE
    for _ in range(11):
        budget.request()
    assert budget.allows("reset", 1)
    budget.spend("reset")
    assert not budget.allows("reset", 1)


def test_attempts_are_bounded_even_when_free() -> None:
    budget = RetryBudget(0.1, 3)
    assert budget.allows("connect", 2)
    assert not budget.allows("connect", 3)


def test_an_error_that_may_be_the_requests_own_is_tried_once_more() -> None:
    budget = RetryBudget(0.1, 3)
    assert budget.allows("status_500", 1)
    assert not budget.allows("status_500", 2)
    assert not RetryBudget(0.1, 1).allows("status_500", 1)


def test_no_budget_still_lets_refused_connections_move_on() -> None:
    budget = RetryBudget(0.0, 3)
    assert not budget.allows("status_503", 1)
    assert budget.allows("connect", 1)


def test_saving_up_is_bounded() -> None:
    budget = RetryBudget(1.0, 3)
    for _ in range(10_000):
        budget.request()
    spent = 0
    while budget.allows("reset", 1):
        budget.spend("reset")
        spent += 1
    assert spent <= RESERVE + 1
