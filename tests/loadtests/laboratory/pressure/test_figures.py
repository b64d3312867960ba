"""What a run came to, of outcomes by hand and of one small run."""

import math

import pytest

from loadtests.laboratory.pressure.cell import Cell, profile_of
from loadtests.laboratory.pressure.figures import figures, play
from loadtests.laboratory.simulate.outcomes import Outcome
from tests.loadtests.laboratory.simulate.scripts import growing


def outcome(arrived: float, ttft: float | None, user: int = 0, last: bool = False, error: str = "") -> Outcome:
    made = Outcome(arrived, 100, 10, 0, 0.0, 10 <= arrived < 20, user=user, last=last, error=error, cached_tokens=50)
    if ttft is not None:
        made.first_byte, made.ended = arrived + ttft, arrived + ttft + 1
    return made


def test_turns_are_counted_where_they_end_and_waits_where_they_begin() -> None:
    found = figures([outcome(5, 6.0), outcome(12, 1.0, last=True), outcome(19, 3.0, user=1)], 3, (10, 20))
    assert found.turns_s == 0.2
    assert (found.ttft_mean, found.longest_s) == (2.0, 3.0)
    assert (found.fewest, found.tenth) == (0, 0.0)
    assert found.session_s == 30.0
    assert found.hit == 0.5


def test_the_slowest_tenth_is_of_users() -> None:
    done = [outcome(10 + user / 10, 1.0, user) for user in range(20) for _ in range(user + 1)]
    found = figures(done, 20, (10, 20))
    assert (found.fewest, found.tenth) == (1, 1.5)


def test_a_refused_turn_has_waited_for_ever() -> None:
    found = figures([outcome(11, 1.0), outcome(12, 2.0), outcome(13, None, error="no_room")], 1, (10, 20))
    assert found.refused == 1
    assert found.ttft_mean == found.longest_s == found.ttft_p99 == math.inf
    assert found.ttft_p50 == 2.0


def test_what_had_not_begun_counts_with_its_wait_so_far() -> None:
    found = figures([outcome(11, None), outcome(19, 1.0), outcome(31, 1.0)], 1, (10, 20))
    assert (found.unfinished, found.longest_s) == (1, 20.0)
    assert found.session_s == math.inf


@pytest.mark.parametrize("bound_s", [0.0, 30.0])
def test_a_run(bound_s: float) -> None:
    cell = Cell("c", growing(6), 2, profile_of(5_000, 40_000), ratio=2.0, seconds=60)
    found = play(cell.scenario(bound_s), "expected_ttft", 1, lambda: None)
    assert 0 < found.turns_s <= cell.turns_bound
    assert 0 <= found.hit <= 1
    assert found.ttft_p50 <= found.ttft_p90 <= found.ttft_p99 <= found.longest_s
    assert found.fewest <= found.tenth
    assert (found.refused, found.unfinished) == (0, 0)
