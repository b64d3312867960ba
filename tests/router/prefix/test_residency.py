"""Forgetting in slices, and by time."""

import pytest

from router.prefix.index import HASH_BYTES, Held
from router.prefix.residency import SLICE, Limits, Residency
from tests.router.prefix.conftest import Clock, chain_of, confirmed, dropped, held, pending

SYSTEM = chain_of("system")


@pytest.fixture
def index(clock: Clock) -> Residency:
    return Residency(Limits(default_capacity_blocks=100_000, pending_ttl_s=60.0, idle_ttl_s=3600.0), clock)


def with_forks(index: Residency, forks: int) -> None:
    for number in range(forks):
        index.apply(confirmed("w1", chain_of([number], SYSTEM)))


def test_a_large_eviction_is_finished_by_sweeps(index: Residency) -> None:
    with_forks(index, 2 * SLICE + 10)
    index.set_capacity("w1", 7)
    assert index.evicted == SLICE
    assert index.sweep()
    assert not index.sweep()
    assert index.evicted == 2 * SLICE + 9
    assert index.find(chain_of([2 * SLICE + 9], SYSTEM)) == {"w1": held(7)}
    assert index.tree.blocks == 7


def test_a_removal_is_finished_by_sweeps(index: Residency) -> None:
    with_forks(index, 30)
    index.apply(pending("w1", chain_of("pending", SYSTEM)))
    index.remove_worker("w1")
    assert index.find(SYSTEM, ["w1"]) == {}
    sweeps = 1
    while index.sweep(limit=10):
        sweeps += 1
    assert sweeps == 4
    assert (index.tree.nodes, index.tree.holdings, index.tree.blocks, index.pendings) == (0, 0, 0, 0)


def test_removal_ends_an_eviction_under_way(index: Residency) -> None:
    with_forks(index, SLICE + 10)
    index.set_capacity("w1", 0)
    index.remove_worker("w1")
    while index.sweep():
        pass
    assert index.tree.blocks == 0
    assert index.evicted == SLICE


def test_many_pendings_expire_in_slices(index: Residency, clock: Clock) -> None:
    for number in range(SLICE + 1):
        index.apply(pending("w1", chain_of([number], SYSTEM)))
    clock.now += 60
    assert index.find(SYSTEM) == {"w1": Held(0, 6)}
    assert index.pendings == 1
    assert index.find(SYSTEM) == {}
    assert index.tree.blocks == 0


def test_dropped_takes_back_the_oldest_pending_of_its_chain(index: Residency, clock: Clock) -> None:
    index.apply(pending("w1", SYSTEM))
    clock.now += 30
    index.apply(pending("w1", SYSTEM))
    index.apply(dropped("w1", SYSTEM))
    clock.now += 59
    assert index.find(SYSTEM) == {"w1": Held(0, 6)}
    clock.now += 1
    assert index.find(SYSTEM) == {}


def test_what_has_expired_is_not_taken_back_in_place_of_a_younger_one(index: Residency, clock: Clock) -> None:
    index.apply(pending("w1", SYSTEM))
    clock.now += 60
    index.apply(pending("w1", SYSTEM))
    index.apply(dropped("w1", SYSTEM))
    assert index.find(SYSTEM) == {}
    index.apply(pending("w1", SYSTEM))
    clock.now += 60
    index.apply(confirmed("w2", SYSTEM, pended=SYSTEM))
    index.apply(pending("w1", SYSTEM))
    index.apply(confirmed("w1", SYSTEM[: 3 * HASH_BYTES], pended=SYSTEM))
    assert index.find(SYSTEM) == {"w2": held(6), "w1": held(3)}


def test_pendings_survive_that_their_run_is_cut(index: Residency) -> None:
    long, cut = chain_of("long", SYSTEM), chain_of("cut", SYSTEM[: 3 * HASH_BYTES])
    for record in (pending("w1", long), pending("w1", chain_of("er", long)), pending("w1", SYSTEM)):
        index.apply(record)
    index.apply(pending("w1", chain_of("fork", long)))
    index.apply(confirmed("w2", cut))
    for chain, left in ((chain_of("fork", long), 10), (long, 10), (chain_of("er", long), 6), (SYSTEM, 0)):
        index.apply(dropped("w1", chain))
        assert index.find(long, ["w1"]).get("w1", Held(0, 0)).pending_blocks == left
    assert index.find(long) == {"w2": held(3)}


def test_idle_holders_are_forgotten_but_not_their_capacity(index: Residency, clock: Clock) -> None:
    index.set_capacity("w1", 4)
    index.apply(confirmed("w2", SYSTEM))
    index.apply(confirmed("w1", SYSTEM))
    clock.now += 3000
    index.apply(confirmed("w2", SYSTEM))
    clock.now += 600
    assert index.sweep() is False
    assert index.find(SYSTEM) == {"w2": held(6)}
    index.apply(confirmed("w1", SYSTEM))
    assert index.find(SYSTEM) == {"w1": held(4), "w2": held(6)}


def test_a_removed_workers_capacity_is_forgotten(index: Residency) -> None:
    index.set_capacity("w1", 4)
    index.remove_worker("w1")
    index.apply(confirmed("w1", SYSTEM))
    assert index.find(SYSTEM) == {"w1": held(6)}


def test_a_prompt_larger_than_the_pool_keeps_its_head(index: Residency) -> None:
    index.set_capacity("w1", 4)
    index.apply(confirmed("w1", SYSTEM, generated_blocks=9))
    assert index.find(SYSTEM) == {"w1": held(4)}
    assert index.tree.blocks == 4


def test_the_same_prompt_again_keeps_its_output_and_new_output_takes_its_place(index: Residency) -> None:
    other = chain_of("other")
    index.set_capacity("w1", 10)
    index.apply(confirmed("w1", SYSTEM, generated_blocks=4))
    index.apply(confirmed("w1", SYSTEM))
    assert index.evicted == 0
    index.apply(confirmed("w1", SYSTEM, generated_blocks=1))
    index.apply(confirmed("w1", other[: 3 * HASH_BYTES]))
    assert index.evicted == 0
    index.apply(confirmed("w1", other))
    assert index.evicted == 2
    assert index.find(SYSTEM) == {"w1": held(5)}
