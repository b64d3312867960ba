"""Sums over routers, their ageing, and the totals that orders go by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.fleet.load_part import BadPartError
from router.fleet.others import LIFE_S, NOTHING, Others
from tests.router.fleet.test_load_part import packed

RATE = 1000.0


def view(others: Others, parts: dict[str, dict[int, tuple[int, int, int]]]) -> None:
    """These routers live, and have just told this."""
    for router, loads in parts.items():
        others.hear(router, packed(loads))
    others.keep(parts)


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_sums_over_routers() -> None:
    clock = Clock()
    others = Others(clock)
    assert others.of(1, RATE, clock.now) == NOTHING
    view(others, {"a": {1: (2, 500, 900), 2: (1, 0, 50)}, "b": {1: (3, 40, 100)}})
    assert others.routers == 2
    assert others.of(1, RATE, clock.now) == (5, 540, 1000)
    assert others.of(2, RATE, clock.now) == (1, 0, 50)
    assert others.of(3, RATE, clock.now) == NOTHING


def test_queued_tokens_are_worked_off_and_never_less_than_none() -> None:
    clock = Clock()
    others = Others(clock)
    view(others, {"a": {1: (1, 500, 900)}})
    assert others.of(1, RATE, clock.now + 0.2) == (1, 300, 900)
    assert others.of(1, RATE, clock.now + 2) == (1, 0, 900)


def test_what_is_not_written_anew_is_forgotten() -> None:
    clock = Clock()
    others = Others(clock)
    view(others, {"a": {1: (1, 500, 900)}})
    clock.now += LIFE_S - 0.1
    others.keep(["a"])
    assert others.routers == 1
    clock.now += 0.2
    others.keep(["a"])
    assert others.of(1, RATE, clock.now) == NOTHING
    assert others.settle() == {}


def test_a_gone_router_and_a_broken_part_count_nothing() -> None:
    others = Others(Clock())
    view(others, {"a": {1: (1, 5, 9)}})
    with pytest.raises(BadPartError):
        others.hear("b", b"forged")
    others.keep(["b"])
    assert others.routers == 0


Views = st.lists(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]), st.dictionaries(st.integers(1, 5), st.integers(0, 9), max_size=5)
    ),
    max_size=8,
)


@given(Views, st.data())
def test_settled_totals_are_the_sums_whatever_came_before(
    views: list[dict[str, dict[int, int]]], data: st.DataObject
) -> None:
    others = Others(Clock())
    told: dict[int, int] = {}
    for seen in [*views, {}]:
        view(others, {router: {n: (count, 0, 0) for n, count in load.items()} for router, load in seen.items()})
        if seen and not data.draw(st.booleans()):
            continue
        told.update(others.settle())
        sums = {number: sum(load.get(number, 0) for load in seen.values()) for number in range(1, 6)}
        assert {number: told.get(number, 0) for number in sums} == sums == {n: others.total(n) for n in sums}
