"""Reading wide nodes: the most recently touched, at a cost that does not grow with the holders."""

from collections.abc import Iterator

from router.prefix.index import HASH_BYTES
from router.prefix.lookup import DEEPEST, SCANNED, deepest_holders
from router.prefix.node import Holder, Holding, Node
from router.prefix.residency import Limits, Residency
from tests.router.prefix.conftest import Clock, chain_of, confirmed, held, pending

SYSTEM = chain_of("system")


def wide_index(holders: int) -> Residency:
    index = Residency(Limits(), Clock())
    for number in range(holders):
        index.apply(confirmed(f"w{number}", SYSTEM))
    return index


def test_the_most_recently_touched_stand_for_a_wide_node() -> None:
    index = wide_index(500)
    touched = {f"w{number}" for number in range(0, DEEPEST * 3, 3)}
    for name in touched:
        index.apply(confirmed(name, SYSTEM))
    assert set(index.find(SYSTEM)) == touched


def test_removed_workers_take_no_place_in_the_answer() -> None:
    index = wide_index(100)
    for number in range(60, 100):
        index.remove_worker(f"w{number}")
    found = index.find(SYSTEM)
    assert len(found) == DEEPEST
    assert set(found) < {f"w{number}" for number in range(60)}


def test_of_many_extents_in_one_run_the_longest() -> None:
    index = Residency(Limits(), Clock())
    chain = chain_of(range(SCANNED))
    for depth in range(SCANNED, 0, -1):
        index.apply(confirmed(f"w{depth}", chain[: depth * HASH_BYTES]))
    index.apply(pending("w1", chain[:-HASH_BYTES]))
    assert {held.pending_blocks for held in index.find(chain).values()} == {SCANNED, *range(SCANNED - 14, SCANNED)}


class CountingHolders(dict[Holder, Holding]):
    """Counts the entries that are read one after another."""

    read = 0

    def items(self) -> "CountedItems":  # type: ignore[override]
        return CountedItems(self)


class CountedItems:
    def __init__(self, holders: CountingHolders) -> None:
        self.holders = holders

    def __len__(self) -> int:
        return len(self.holders)

    def __reversed__(self) -> Iterator[tuple[Holder, Holding]]:
        for holder in reversed(self.holders):
            self.holders.read += 1
            yield holder, self.holders[holder]


def test_few_of_a_thousand_holders_are_read() -> None:
    for held_blocks in (6, 3):
        node = Node(None, 0, SYSTEM)
        counting = CountingHolders()
        node.holders = counting
        for number in range(1000):
            holder = Holder(f"w{number}", 100)
            counting[holder] = Holding(node, holder)
            counting[holder].extent = held_blocks
        assert set(deepest_holders([node], 6).values()) == {held(held_blocks)}
        assert counting.read <= SCANNED
