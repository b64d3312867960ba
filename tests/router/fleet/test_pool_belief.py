"""What a worker really keeps is learned from what was promised and not there, and from no single conversation."""

import random
from collections import OrderedDict

import pytest

from router.fleet.cache_loss import CacheReport
from router.fleet.pool_belief import LEAST, MAX_ENDS, STEP, PoolBelief
from router.prefix.index import HASH_BYTES

CAPACITY = 64_000
BLOCK = 64
MOST = CAPACITY * STEP


def chain_of(name: str, blocks: int) -> bytes:
    return b"".join(f"{name}{number:04}".encode()[-HASH_BYTES:].rjust(HASH_BYTES) for number in range(blocks))


def report(name: str, blocks: int, predicted: int, cached: int, client: str = "") -> CacheReport:
    """A conversation's prompt of so many blocks; what was predicted and cached is in blocks too."""
    chain = chain_of(name, blocks)
    return CacheReport(chain[:HASH_BYTES], BLOCK, client, predicted * BLOCK, cached * BLOCK, 0, chain)


def belief_after(*reports: CacheReport) -> PoolBelief:
    belief = PoolBelief()
    belief.set_capacity(CAPACITY)
    for each in reports:
        belief.reported(each)
    return belief


def test_what_was_promised_and_not_there_is_lacking() -> None:
    assert belief_after(report("a", 50, 0, 0), report("a", 60, 50, 20)).lacking_tokens == 30 * BLOCK


def test_what_was_there_and_not_promised_is_not_lacking() -> None:
    belief = belief_after(
        report("a", 50, 0, 0), report("a", 60, 50, 20), report("b", 50, 0, 0), report("b", 55, 40, 50)
    )
    assert belief.lacking_tokens == 20 * BLOCK
    belief.reported(report("b", 60, 10, 55))
    assert belief.lacking_tokens == 0, "it has no more than it says"


@pytest.mark.parametrize(
    "second",
    [
        report("b", 60, 50, 0),
        report("a", 60, 50, 50),
        report("a", 60, 50, 58),
        report("a", 60, 0, 0),
    ],
    ids=["no earlier prompt was there", "right", "an answer was cached too", "nothing was promised"],
)
def test_reports_that_say_nothing_do_not_move_the_belief(second: CacheReport) -> None:
    assert belief_after(report("a", 50, 0, 0), second).lacking_tokens == 0


def test_one_report_moves_it_by_a_step() -> None:
    assert belief_after(report("a", 900, 0, 0), report("a", 950, 900, 0)).lacking_tokens == MOST


def test_one_conversation_lowers_it_once() -> None:
    belief = belief_after(*(report("a", blocks, blocks - 1, 0) for blocks in range(100, 200)))
    assert belief.lacking_tokens == MOST
    belief.reported(report("b", 100, 0, 0))
    belief.reported(report("b", 101, 100, 0))
    assert belief.lacking_tokens == 2 * MOST


def test_one_client_lowers_it_once_while_others_use_the_worker() -> None:
    missing = [report(name, blocks, blocks - 1, 0, "evil") for blocks in range(100, 150) for name in "abc"]
    belief = belief_after(report("x", 50, 0, 0, "honest"), *missing)
    assert belief.lacking_tokens == MOST
    belief.reported(report("x", 51, 50, 0, "honest"))
    assert belief.lacking_tokens == MOST + 50 * BLOCK
    alone = belief_after(*missing)
    assert alone.lacking_tokens == CAPACITY * (1 - LEAST), "nobody else loses by it"


def test_many_conversations_never_take_all_of_it() -> None:
    reports = [report(name, blocks, blocks - 1, 0) for blocks in range(100, 200) for name in "abc"]
    assert belief_after(*reports).lacking_tokens == CAPACITY * (1 - LEAST)


def test_another_size_is_learned_anew_and_the_same_one_is_not() -> None:
    belief = belief_after(report("a", 50, 0, 0), report("a", 60, 50, 20))
    belief.set_capacity(CAPACITY)
    assert belief.lacking_tokens
    belief.set_capacity(CAPACITY + 64)
    assert not belief.lacking_tokens


def test_an_unknown_size_and_an_unknown_chain_teach_nothing() -> None:
    belief = PoolBelief()
    for each in (report("a", 50, 0, 0), report("a", 60, 50, 20), report("a", 60, 50, 20)._replace(chain=b"")):
        assert not belief.reported(each)
    assert not belief.lacking_tokens


def test_the_index_is_told_of_moves_that_matter() -> None:
    belief = belief_after(report("a", 50, 0, 0), report("b", 50, 0, 0))
    assert not belief.reported(report("a", 60, 50, 40))
    assert belief.reported(report("b", 60, 50, 40))


def test_what_is_remembered_is_bounded_and_forgotten_with_the_cache() -> None:
    belief = belief_after(*(report(f"x{n}x", 5, 0, 0) for n in range(2 * MAX_ENDS)))
    assert len(belief._ends) == MAX_ENDS
    belief.clear()
    belief.reported(report(f"x{2 * MAX_ENDS - 1}x", 5, 5, 0))
    assert not belief.lacking_tokens


class LyingPool:
    """Conversations at random in an LRU pool that has `share` of what it says; the router's own view is an LRU pool of
    the believed size."""

    def __init__(self, seed: int, share: float) -> None:
        self.belief = belief_after()
        self.errors = self.tokens = 0
        self._rng = random.Random(seed)
        self._real = int(CAPACITY * share) // BLOCK
        self._engine: OrderedDict[bytes, None] = OrderedDict()
        self._router: OrderedDict[bytes, None] = OrderedDict()
        self._lengths = [self._rng.randint(30, 120) for _ in range(16)]

    def ask(self) -> None:
        number = self._rng.choice((self._rng.randrange(6), self._rng.randrange(16)))
        chain = chain_of(f"c{number}c", self._lengths[number])
        blocks = [chain[at : at + HASH_BYTES] for at in range(0, len(chain), HASH_BYTES)]
        cached, predicted = _held(self._engine, blocks), _held(self._router, blocks)
        _touch(self._engine, blocks, self._real)
        _touch(self._router, blocks, (CAPACITY - self.belief.lacking_tokens) // BLOCK)
        self.belief.reported(CacheReport(blocks[0], BLOCK, "", predicted * BLOCK, cached * BLOCK, 0, chain))
        self.errors += abs(predicted - cached)
        self.tokens += len(blocks)


def _held(pool: OrderedDict[bytes, None], blocks: list[bytes]) -> int:
    return next((at for at, block in enumerate(blocks) if block not in pool), len(blocks))


def _touch(pool: OrderedDict[bytes, None], blocks: list[bytes], room: int) -> None:
    for block in reversed(blocks):
        pool[block] = None
        pool.move_to_end(block)
    while len(pool) > room:
        pool.popitem(last=False)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_lie_is_found_within_some_hundred_requests(seed: int, share: float) -> None:
    pool = LyingPool(seed, share)
    for _ in range(500):
        pool.ask()
    pool.errors = pool.tokens = 0
    for _ in range(500):
        pool.ask()
    assert pool.errors < 0.03 * pool.tokens
    assert abs(pool.belief.lacking_tokens / CAPACITY - (1 - share)) < 0.1
