"""The tree's shape: paths stay short, and nothing is stored that nobody has."""

import random

from router.prefix.index import HASH_BYTES
from router.prefix.radix import WIDE
from router.prefix.residency import Limits, Residency
from tests.router.prefix.conftest import Clock, chain_of, confirmed, dropped, held, pending

SYSTEM = chain_of("system")


def residency(max_blocks: int = 100_000) -> Residency:
    return Residency(Limits(max_blocks=max_blocks, default_capacity_blocks=100_000), Clock())


def shape(index: Residency) -> tuple[int, int, int]:
    return index.tree.nodes, index.tree.holdings, index.tree.blocks


def test_a_conversation_of_300_turns_is_a_handful_of_nodes() -> None:
    index = residency()
    chain = chain_of("start", SYSTEM)
    index.apply(confirmed("w2", chain_of("other", SYSTEM)))
    for turn in range(300):
        estimated, chain = chain_of("~~", chain), chain_of([turn, "answer"], chain)
        index.apply(pending("w1", estimated))
        index.apply(confirmed("w1", chain, pended=estimated))
    assert len(index.tree.walk(chain)[0]) <= 3
    assert shape(index) == (3, 4, 6 + 5 + 5 + 600)
    assert index.find(chain) == {"w1": held(611), "w2": held(6)}


def test_a_conversation_between_two_workers_stays_short_too() -> None:
    index = residency()
    chain = SYSTEM
    for turn in range(100):
        chain = chain_of([turn], chain)
        index.apply(confirmed(f"w{turn % 2}", chain))
    assert shape(index) == (1, 2, 106)
    assert index.find(chain) == {"w0": held(105), "w1": held(106)}


def test_touching_a_part_splits_and_touching_the_whole_merges() -> None:
    index = residency()
    whole = chain_of("whole", SYSTEM)
    for chain, nodes in ((whole, 1), (SYSTEM, 2), (whole, 1)):
        index.apply(confirmed("w1", chain))
        assert index.tree.nodes == nodes


def test_parts_of_different_age_are_not_merged() -> None:
    index = residency()
    whole, between = chain_of("whole", SYSTEM), chain_of("between")
    for chain in (whole, between, SYSTEM):
        index.apply(confirmed("w1", chain))
    index.apply(confirmed("w2", whole))
    assert index.tree.nodes == 3
    index.set_capacity("w1", 6 + 7)
    assert index.find(whole) == {"w1": held(6), "w2": held(11)}
    assert index.find(between) == {"w1": held(7)}


def test_a_prompt_that_many_have_is_neither_extended_nor_cut() -> None:
    index = residency()
    for number in range(WIDE + 1):
        index.apply(confirmed(f"w{number}", SYSTEM))
    index.apply(confirmed("w1", chain_of("first", SYSTEM)))
    assert shape(index) == (2, WIDE + 2, 11)
    index.apply(confirmed("w2", chain_of("second", SYSTEM)))
    assert shape(index) == (3, WIDE + 3, 17)


def test_what_nobody_has_any_more_is_cut_off() -> None:
    index = residency()
    long = chain_of("long", SYSTEM)
    index.apply(confirmed("w1", SYSTEM))
    index.apply(pending("w2", long))
    assert shape(index) == (1, 2, 10)
    index.apply(dropped("w2", long))
    assert shape(index) == (1, 1, 6)
    index.set_capacity("w1", 0)
    assert shape(index) == (0, 0, 0)


def test_a_full_tree_refuses_and_counts_but_still_learns_what_it_knows() -> None:
    index = residency(max_blocks=10)
    index.apply(confirmed("w1", SYSTEM))
    index.apply(confirmed("w2", chain_of("12345", SYSTEM), generated_blocks=3))
    index.apply(pending("w3", chain_of("12345", SYSTEM)))
    assert index.tree.refused == 2
    assert index.find(SYSTEM) == {"w1": held(6), "w2": held(6)}
    index.apply(dropped("w3", chain_of("12345", SYSTEM)))
    index.apply(confirmed("w3", chain_of("1234", SYSTEM)))
    assert index.tree.refused == 2
    assert index.find(SYSTEM)["w3"] == held(6)
    index.set_capacity("w2", 6)
    assert index.evicted == 0, "what was generated behind a refused part is not counted"


def test_two_hundred_thousand_blocks_and_a_thousand_workers() -> None:
    rng = random.Random(7)
    index = Residency(Limits(default_capacity_blocks=10_000), Clock())
    workers = [f"w{number}" for number in range(1000)]
    system = rng.randbytes(100 * HASH_BYTES)
    conversations = [(worker, system + rng.randbytes(100 * HASH_BYTES)) for worker in workers * 2]
    for turn in (50, 100):
        for worker, chain in conversations:
            index.apply(confirmed(worker, chain[: (100 + turn) * HASH_BYTES]))
    assert shape(index) == (2001, 3000, 200_100)
    for worker, chain in conversations[::97]:
        found = index.find(chain + rng.randbytes(HASH_BYTES), ["w5", worker, "nobody"])
        assert found.pop(worker) == held(200)
        assert set(found.values()) == {held(100)}
        assert 15 <= len(found) <= 16
    for worker in workers:
        index.remove_worker(worker)
    assert index.find(system) == {}
    while index.sweep():
        pass
    assert shape(index) == (0, 0, 0)
