"""Batches are applied in order and once, whatever is lost, repeated or restarted; and a hole is never overlooked."""

import random

import pytest

from router.kv_events import stream as module
from router.kv_events.stream import ANSWER_S, LATE_S, MAX_HELD, Sign, Step, Stream


def payload(number: int) -> bytes:
    return str(number).encode()


def lives(stream: Stream, *numbers: int, now: float = 0.0) -> list[Step]:
    return [step for number in numbers for step in stream.live(number, payload(number), now)]


def repeats(stream: Stream, *numbers: int, now: float = 0.0) -> list[Step]:
    steps = [step for number in numbers for step in stream.repeated(number, payload(number), now)]
    return steps + stream.end(now)


def steps(*numbers: int) -> list[Step]:
    return [payload(number) for number in numbers]


def begun(repeats: bool = True) -> Stream:
    stream = Stream(repeats)
    stream.begin(0.0)
    return stream


def test_from_the_start_all_is_known() -> None:
    stream = Stream(repeats=False)
    assert lives(stream, 0, 1, 2) == steps(0, 1, 2)
    assert stream.complete


def test_without_the_start_not_all_is_known() -> None:
    stream = Stream(repeats=False)
    assert lives(stream, 5, 6) == steps(5, 6)
    assert not stream.complete


def test_what_was_before_is_asked_for_and_comes_first() -> None:
    stream = begun()
    assert stream.asks == 0
    assert lives(stream, 3, 4) == []
    assert repeats(stream, 0, 1, 2, 3) == steps(0, 1, 2, 3, 4)
    assert stream.complete


def test_a_buffer_that_does_not_reach_the_start() -> None:
    stream = begun()
    assert repeats(stream, 7, 8) == steps(7, 8)
    assert not stream.complete
    assert lives(stream, 9) == steps(9)


def test_an_engine_that_has_published_nothing() -> None:
    stream = begun()
    assert repeats(stream) == []
    assert stream.complete
    assert lives(stream, 0) == steps(0)
    assert stream.complete


def test_a_gap_is_filled() -> None:
    stream = Stream(repeats=True)
    assert lives(stream, 0, 1, 4, 5) == steps(0, 1)
    assert stream.asks == 2
    assert repeats(stream, 2, 3, 4) == steps(2, 3, 4, 5)
    assert stream.complete


def test_a_gap_that_cannot_be_filled() -> None:
    stream = Stream(repeats=False)
    assert lives(stream, 0, 2) == [payload(0), Sign.MISSED, payload(2)]
    assert not stream.complete
    stream = Stream(repeats=True)
    assert lives(stream, 0, 4) == steps(0)
    assert repeats(stream, 3, 4) == [Sign.MISSED, payload(3), payload(4)]
    assert not stream.complete


def test_a_gap_in_what_came_meanwhile_is_asked_for_once() -> None:
    stream = begun()
    assert lives(stream, 0, 2) == []
    assert repeats(stream) == steps(0)
    assert stream.asks == 1
    assert repeats(stream, 1, 2) == steps(1, 2)
    assert stream.complete
    stream = begun()
    assert lives(stream, 0, 2) == []
    assert repeats(stream) == steps(0)
    assert repeats(stream) == [Sign.MISSED, payload(2)]
    assert not stream.complete


def test_no_answer_in_time() -> None:
    stream = Stream(repeats=True)
    assert lives(stream, 0, 4) == steps(0)
    assert not stream.is_late(ANSWER_S)
    assert stream.is_late(ANSWER_S + 0.1)
    assert stream.give_up(ANSWER_S + 0.1) == [Sign.MISSED, payload(4)]
    assert not stream.complete
    assert lives(stream, 5, now=9.0) == steps(5)


def test_a_new_process_begins_anew() -> None:
    stream = Stream(repeats=True)
    assert lives(stream, 0, 1, 2) == steps(0, 1, 2)
    assert lives(stream, 0, 1, now=9.0) == [Sign.RESTARTED, payload(0), payload(1)]
    assert stream.complete


def test_a_new_process_whose_start_was_missed() -> None:
    stream = Stream(repeats=True)
    lives(stream, 0, 1, 2, 3, 4)
    assert lives(stream, 2, now=9.0) == [Sign.RESTARTED]
    assert stream.asks == 0
    assert repeats(stream, 0, 1, 2, now=9.0) == steps(0, 1, 2)
    assert stream.complete


def test_what_comes_by_both_sockets_counts_once() -> None:
    stream = begun()
    assert repeats(stream, 0, 1, 2) == steps(0, 1, 2)
    assert lives(stream, 1, 2, 3, now=LATE_S / 2) == steps(3)


def test_what_is_held_is_bounded() -> None:
    stream = begun()
    found = lives(stream, *range(5, MAX_HELD + 6))
    assert len(found) == MAX_HELD + 1
    assert not stream.complete


def test_what_is_held_is_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_BYTES", 10)
    stream, large = begun(), b"x" * 10
    assert stream.live(5, large, 0.0) == []
    for number in range(3):
        stream.repeated(number, b"", 0.0)  # an answer without an end keeps it asking
    assert stream.live(6, large, 0.0) == [Sign.MISSED, large, large]
    assert stream.live(7, large, 0.0) == [large]


def test_unasked_answers_are_nothing() -> None:
    stream = Stream(repeats=True)
    assert lives(stream, 0) == steps(0)
    assert repeats(stream, 0, 1, 2) == []
    assert lives(stream, 1) == steps(1)


def test_a_network_that_loses_at_random_changes_nothing_but_the_time() -> None:
    for seed in range(200):
        rng, stream, got = random.Random(seed), begun(), list[Step]()
        published = 0
        got += repeats(stream)
        for now in range(60):
            for _ in range(rng.randint(0, 3)):
                if rng.random() < 0.7:
                    got += stream.live(published, payload(published), 10.0 * now)
                published += 1
            if stream.asks is not None and rng.random() < 0.5:
                first, stream.asks = stream.asks, None
                got += repeats(stream, *range(first, published), now=10.0 * now)
        assert got == steps(*range(len(got)))
        assert stream.complete
