"""An attempt counts a request as its worker's, and takes back what came to nothing, on every path."""

from typing import Any

import pytest

from router.fleet.breaker import BreakerState
from router.prefix.index import State
from router.relay.attempt import Attempt
from router.routing.asked import Asked
from router.routing.choose import Choice
from tests.router.fleets import MODEL, make_fleet
from tests.router.routing.test_prompt_record import EXACT, GUESS, Notebook
from tokenizer_cache.prompt import Prompt


class Case:
    """One attempt at a worker that has done nothing yet."""

    def __init__(self, prompt: Prompt | None = EXACT) -> None:
        group = make_fleet(1).groups[MODEL]
        (self.worker,) = group.workers
        self.notebook = Notebook()
        self.hung_up = 0
        tokens = prompt.tokens if prompt is not None else 0
        choice = Choice(self.worker, "r", "f", prompt=prompt, prompt_tokens=tokens, uncached_tokens=tokens)
        asked = Asked(group=group, body=b"{}", prompts={"f": prompt} if prompt is not None else {})
        index: Any = self.notebook
        self.attempt = Attempt(asked, choice, 1, index)
        self.attempt.hang_up = self._hang_up

    def _hang_up(self) -> None:
        self.hung_up += 1


def test_it_is_counted_inside_alone() -> None:
    case = Case()
    running = case.worker.running
    with case.attempt:
        assert (running.in_flight, running.queued_tokens) == (1, EXACT.tokens)
    assert (running.in_flight, running.queued_tokens, running.held_tokens) == (0, 0, 0)
    assert case.hung_up == 1


@pytest.mark.parametrize(("status", "state"), [(200, State.CONFIRMED), (404, State.DROPPED), (503, State.DROPPED)])
def test_only_a_success_confirms_its_prompt(status: int, state: State) -> None:
    case = Case()
    with case.attempt as attempt:
        assert attempt.record is not None
        attempt.record.dispatched()
        attempt.answered(status)
    assert not case.notebook.pendings()
    assert [record.state for record in case.notebook.records] == [State.PENDING, state]


def test_what_ends_without_an_answer_takes_back_its_record() -> None:
    case = Case()
    with pytest.raises(KeyError), case.attempt as attempt:
        assert attempt.record is not None
        attempt.record.dispatched()
        raise KeyError
    assert not case.notebook.pendings()
    assert case.hung_up == 1


def test_a_fault_where_the_lease_ends_costs_no_record_and_no_connection() -> None:
    case = Case()

    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError), case.attempt as attempt:
        assert attempt.record is not None
        attempt.record.dispatched()
        attempt.lease.on_end = fail
    assert not case.notebook.pendings()
    assert case.hung_up == 1


@pytest.mark.parametrize("kind", ["connect", "reset", "worker_died", "first_byte_timeout", "status_500"])
def test_a_worker_is_blamed_until_its_breaker_opens(kind: str) -> None:
    case = Case()
    for _ in range(3):
        assert case.worker.breaker.state is BreakerState.CLOSED
        case.attempt.blame(kind)
    assert case.worker.breaker.state is BreakerState.OPEN


def test_the_next_attempt_is_decided_on_what_has_become_known() -> None:
    case = Case(GUESS)
    assert case.attempt.learnt() is case.attempt.asked
    assert case.attempt.record is not None
    case.attempt.record.encoded(EXACT)
    assert case.attempt.learnt().prompts == {"f": EXACT}
    assert case.attempt.asked.prompts == {"f": GUESS}


def test_without_a_prompt_nothing_is_recorded() -> None:
    case = Case(None)
    with case.attempt as attempt:
        attempt.computed()
        attempt.answered(200)
    assert case.notebook.records == []
