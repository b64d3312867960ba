"""Hits that do not come: what one client, one wrong prediction and an ordinary eviction must not look like."""

import random
from collections import OrderedDict

import pytest

from router.fleet.cache_loss import MAX_STARTS, CacheLoss, CacheReport

ROOM = 100_000
BLOCK = 64


def report(start: str, cached: int, client: str = "", predicted: int = 5000, written: int = 100) -> CacheReport:
    return CacheReport(start.encode(), BLOCK, client, predicted, cached, written)


def first(loss: CacheLoss, *starts: str, client: str = "") -> None:
    """Conversations begin there."""
    for start in starts:
        assert not loss.reported(report(start, 0, client, predicted=0), ROOM)


def misses(loss: CacheLoss, *starts: str) -> list[bool]:
    return [loss.reported(report(start, 0), ROOM) for start in starts]


def test_a_lost_cache_is_told_by_three_conversations() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c", "d")
    assert misses(loss, "a", "b", "c") == [False, False, True]
    assert loss.misses_total == 3


def test_one_conversation_tells_nothing_however_often_it_misses() -> None:
    loss = CacheLoss()
    first(loss, "a", "b")
    assert not any(misses(loss, *("a", "b") * 20))


def test_one_client_tells_nothing_with_however_many_conversations() -> None:
    loss = CacheLoss()
    first(loss, "x", "y", client="honest")
    for number in range(300):
        first(loss, f"e{number}", client="evil")
        assert not loss.reported(report(f"e{number}", 0, "evil"), ROOM)
    assert not loss.reported(report("x", 0, "honest"), ROOM), "two clients are not enough either"


def test_three_clients_tell_a_loss() -> None:
    loss = CacheLoss()
    for name in ("one", "two", "three"):
        first(loss, f"of {name}", client=name)
    told = [loss.reported(report(f"of {name}", 0, name), ROOM) for name in ("one", "one", "two", "three")]
    assert told == [False, False, False, True]


def test_what_hits_from_before_the_first_miss_refutes_the_loss() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c", "d")
    assert misses(loss, "a", "b") == [False, False]
    assert not loss.reported(report("d", 4096), ROOM)
    assert misses(loss, "c") == [False]


def test_what_was_computed_anew_since_neither_refutes_nor_tells_it() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    assert misses(loss, "a") == [False]
    assert not loss.reported(report("a", 4096), ROOM)
    first(loss, "e", "f")
    assert misses(loss, "e", "f") == [False, False]
    assert misses(loss, "b", "c") == [False, True]


def test_a_start_that_another_router_may_have_renewed_refutes_it() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    assert misses(loss, "a", "b") == [False, False]
    assert not loss.reported(report("unknown here", 4096), ROOM)
    assert misses(loss, "c") == [False]


@pytest.mark.parametrize("cached", [0, 16, BLOCK - 1])
def test_less_than_the_first_block_is_nothing(cached: int) -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    assert [loss.reported(report(start, cached), ROOM) for start in "abc"] == [False, False, True]


def test_small_predictions_tell_nothing() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    assert not any(loss.reported(report(start, 0, predicted=511), ROOM) for start in "abc")
    assert loss.misses_total == 0


def test_what_may_have_been_evicted_tells_nothing() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    loss.scraped(ROOM // 4 + 300)
    assert not any(misses(loss, "a", "b", "c"))
    assert loss.misses_total == 3


def test_without_room_beside_the_running_requests_a_miss_tells_nothing() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    assert not any(loss.reported(report(start, 0), 0) for start in "abc")
    assert not any(misses(loss, "a", "b", "c")), "it was short of room when these were used"
    assert misses(loss, "a", "b", "c")[-1]


def test_the_engines_count_is_not_added_to_the_routers_own() -> None:
    loss = CacheLoss()
    first(loss, "a", "b", "c")
    for number in range(1, 200):
        loss.reported(report("busy", 4096), ROOM)
        loss.scraped(100 * (3 + number))
    assert misses(loss, "a", "b", "c")[-1], "20,000 tokens of 25,000"


def test_old_misses_are_not_added_to_new_ones() -> None:
    loss = CacheLoss()
    for start in "abcdefgh":
        first(loss, start)
        assert misses(loss, start) == [False]
        loss.scraped((ord(start) - 90) * ROOM)


def test_starts_are_bounded() -> None:
    loss = CacheLoss()
    for number in range(10 * MAX_STARTS):
        first(loss, str(number))
    assert len(loss._touched) == MAX_STARTS


class Pool:
    """Conversations at random in an LRU pool of `ROOM` tokens, one after the other."""

    def __init__(self, seed: int, conversations: int) -> None:
        self.loss = CacheLoss()
        self._rng = random.Random(seed)
        self._sizes = [self._rng.randint(2000, 12_000) for _ in range(conversations)]
        self._cached: OrderedDict[int, int] = OrderedDict()

    def ask(self) -> bool:
        number = self._rng.randrange(len(self._sizes))
        size = self._sizes[number]
        cached = self._cached.pop(number, 0)
        self._cached[number] = size
        while sum(self._cached.values()) > ROOM:
            self._cached.popitem(last=False)
        return self.loss.reported(report(str(number), cached, predicted=size, written=size - cached + 50), ROOM)

    def reset(self) -> None:
        self._cached.clear()


@pytest.mark.parametrize("seed", range(20))
def test_a_pool_under_pressure_never_looks_lost(seed: int) -> None:
    pool = Pool(seed, conversations=30)
    assert not any(pool.ask() for _ in range(2000))
    assert pool.loss.misses_total > 200


@pytest.mark.parametrize("seed", range(20))
def test_a_reset_is_told_within_few_requests(seed: int) -> None:
    pool = Pool(seed, conversations=12)
    assert not any(pool.ask() for _ in range(200))
    pool.reset()
    assert any(pool.ask() for _ in range(8))
