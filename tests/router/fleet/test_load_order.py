"""The least loaded first, whatever moved."""

from hypothesis import given
from hypothesis import strategies as st

from router.fleet.load_order import LoadOrder


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=80), st.integers(1, 12))
def test_lowest_equals_a_sorted_list(moves: list[tuple[int, int]], count: int) -> None:
    order: LoadOrder[int] = LoadOrder()
    loads: dict[int, int] = {}
    for item, load in moves:
        if item in loads:
            order.move(item, loads[item], load)
        else:
            order.add(item, load)
        loads[item] = load
        found = order.lowest(count)
        assert [loads[item] for item in found] == sorted(loads.values())[:count]
        assert len(set(found)) == len(found)


def test_equal_items_take_turns() -> None:
    order: LoadOrder[str] = LoadOrder()
    for name in "abc":
        order.add(name, 0)
    first = order.lowest(1)[0]
    order.move(first, 0, 1)
    order.move(first, 1, 0)
    assert order.lowest(3) == ["b", "c", "a"]


def test_moving_what_is_not_there_adds_it() -> None:
    order: LoadOrder[str] = LoadOrder()
    order.move("a", 7, 2)
    assert order.lowest(3) == ["a"]
