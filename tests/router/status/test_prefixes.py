"""Prefixes in tokens, by worker: what is held, what is coming, and what lies below."""

from router.prefix.index import Record, State
from router.prefix.residency import Limits, Residency
from router.status.prefixes import MOST_HOLDERS, indexed_tokens, prefixes
from tests.router.fleets import make_fleet
from tests.router.prefix.test_outline import chain


def test_a_shared_beginning_and_what_is_coming() -> None:
    one, other = make_fleet(2).workers.values()
    residency = Residency(Limits(), lambda: 0.0)
    residency.apply(Record(one.holder, chain(1, 2, 3), State.CONFIRMED))
    residency.apply(Record(other.holder, chain(1, 2, 4), State.PENDING))
    block = one.chain_block_tokens
    (told,) = prefixes(residency, [one, other])
    assert (told["start_tokens"], told["tokens"]) == (0, 2 * block)
    assert told["holders"] == {
        one.id: {"tokens": 2 * block, "coming_tokens": 0},
        other.id: {"tokens": 0, "coming_tokens": 2 * block},
    }
    (below,) = told["below"]
    assert (below["start_tokens"], list(below["holders"])) == (2 * block, [one.id])
    assert told["more"] == 1  # what is only coming lies below too
    assert (indexed_tokens(residency, one), indexed_tokens(residency, other)) == (3 * block, 0)


def test_a_worker_of_which_nothing_is_known() -> None:
    (worker,) = make_fleet(1).workers.values()
    residency = Residency(Limits(), lambda: 0.0)
    assert (prefixes(residency, [worker]), indexed_tokens(residency, worker)) == ([], 0)


def test_of_many_workers_the_first_are_told() -> None:
    workers = list(make_fleet(MOST_HOLDERS + 4).workers.values())
    residency = Residency(Limits(), lambda: 0.0)
    for worker in workers:
        residency.apply(Record(worker.holder, chain(1), State.CONFIRMED))
    (told,) = prefixes(residency, workers)
    assert list(told["holders"]) == [worker.id for worker in workers[:MOST_HOLDERS]]
