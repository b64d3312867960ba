"""Figures of a closed loop, from real requests."""

import math

import pytest

from loadtests.evidence.rivals.loop import CUT, Users, looped, unanswered
from loadtests.laboratory.replay.record import NAN, Record, Usage

SPAN = (10.0, 20.0)


def record(session: str, turn: int, asked_s: float, ttft_s: float = 0.5, error: str = "") -> Record:
    return Record(session, turn, asked_s, asked_s + ttft_s, asked_s + ttft_s + 0.5, error, "", Usage(100, 50, 5))


def users(*sessions: str) -> Users:
    found = Users()
    for session in sessions:
        found.began(session)
    return found


def test_a_user_goes_on_with_another_session() -> None:
    found = users("a", "b")
    found.ended("a", 3)
    found.began("c")
    found.began("d")
    assert found.of == {"a": 0, "b": 1, "c": 0, "d": 2}
    assert found.is_last("a", 3) and not found.is_last("a", 2)


def test_all_turns_of_the_measured_span_count() -> None:
    two = users("a", "b")
    two.ended("a", 2)
    records = [record("a", 0, 9.9), record("a", 1, 11.0), record("a", 2, 13.0, 2.5), record("b", 0, 19.8)]
    found = looped(records, two, SPAN)
    assert found.figures.turns_s == 0.3  # the first was asked before the span and ended in it, the last ended after it
    assert found.figures.hit == 0.5
    assert found.figures.ttft_mean == pytest.approx((0.5 + 2.5 + 0.5) / 3)
    assert found.figures.session_s == 20.0  # two users, ten seconds, one session
    assert (found.figures.fewest, found.figures.refused, found.figures.unfinished) == (0, 0, 0)
    assert found.good == pytest.approx(2 / 3)


def test_what_waits_at_the_end_has_waited_whenever_it_was_asked() -> None:
    records = [record("b", 0, 12.0), *unanswered({("a", 0): 2.0}, cut_s=25.0)]
    assert records[1].error == CUT
    found = looped(records, users("a", "b"), SPAN)
    assert (found.figures.longest_s, found.figures.unfinished, found.figures.refused) == (23.0, 1, 0)
    assert (found.figures.tenth, found.figures.hit) == (0.0, 0.5)


def test_a_refused_turn_waits_for_ever() -> None:
    one = users("a")
    one.ended("a", 1)
    found = looped([record("a", 0, 11.0), record("a", 1, 12.0, NAN, "status 503")], one, SPAN)
    assert found.figures.ttft_mean == math.inf
    assert found.figures.session_s == math.inf
    assert (found.figures.refused, found.figures.turns_s, found.good) == (1, 0.1, 0.5)
