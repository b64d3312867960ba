"""Packing and looking up one router's load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.fleet.load_part import MAX_COUNT, MAX_TOKENS, BadPartError, OwnPart, Part, number_of

Loads = st.dictionaries(
    st.integers(0, 2**40 - 1),
    st.tuples(st.integers(0, MAX_COUNT), st.integers(0, MAX_TOKENS), st.integers(0, MAX_TOKENS)),
    max_size=40,
)


def packed(loads: dict[int, tuple[int, int, int]]) -> bytes:
    own = OwnPart()
    own.list_workers(loads)
    for number, counts in loads.items():
        own.put(number, *counts)
    return own.pack()


@given(Loads, st.integers(0, 2**40 - 1))
def test_what_was_packed_is_found(loads: dict[int, tuple[int, int, int]], other: int) -> None:
    part = Part(packed(loads), 0.0)
    assert {number: part.find(number) for number in loads} == loads
    assert part.find(other) == loads.get(other)


def test_a_count_beyond_its_cell_is_the_highest() -> None:
    part = Part(packed({5: (MAX_COUNT + 7, MAX_TOKENS + 7, MAX_TOKENS + 7), 6: (0, 0, 0)}), 0.0)
    assert part.find(5) == (MAX_COUNT, MAX_TOKENS, MAX_TOKENS)
    assert part.find(6) == (0, 0, 0)


def test_workers_that_are_not_listed_are_left_out() -> None:
    own = OwnPart()
    own.put(1, 1, 1, 1)
    own.list_workers([2])
    own.put(1, 1, 1, 1)
    assert Part(own.pack(), 0.0).find(1) is None


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(raw: bytes) -> None:
    try:
        Part(raw, 0.0)
    except BadPartError:
        return
    assert len(raw) >= 8


@pytest.mark.parametrize("cut", [1, 15, 17, 39])
def test_a_cut_part_is_refused(cut: int) -> None:
    with pytest.raises(BadPartError):
        Part(packed({1: (1, 1, 1), 2: (1, 1, 1)})[:-cut], 0.0)


def test_a_worker_has_one_number() -> None:
    assert number_of("w-00000000ff") == 255
