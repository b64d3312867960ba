"""The share of the memory that may be needed follows what is recomputed."""

import pytest

from router.sessions.memory.margin import DOWN, FULL, LEAST, MOST, TURNS, UP, Margin


def after(missed_share: float, waited_for: bool, rounds: int = 1) -> Margin:
    margin = Margin()
    for _ in range(rounds * TURNS):
        margin.kept(1000, round(1000 * (1 - missed_share)), waited_for)
    return margin


@pytest.mark.parametrize(
    ("missed", "waited", "share"),
    [(0.2, True, FULL * DOWN), (0.05, True, FULL), (0.0, True, FULL + UP), (0.0, False, FULL)],
)
def test_one_judgement(missed: float, waited: bool, share: float) -> None:
    assert after(missed, waited).share == pytest.approx(share)


def test_it_stays_within_bounds() -> None:
    assert after(1.0, True, 50).share == LEAST
    assert after(0.0, True, 50).share == MOST
    assert after(0.2, True).recomputed_share == pytest.approx(0.2)


def test_more_cached_than_expected_makes_up_for_nothing() -> None:
    margin = Margin()
    for turn in range(TURNS):
        margin.kept(1000, 0 if turn % 2 else 5000, True)
    assert margin.recomputed_share == pytest.approx(0.5)
