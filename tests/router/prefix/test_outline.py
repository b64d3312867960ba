"""The outline tells the runs used last, who holds how much of them, and no more of them than it may."""

from router.prefix.index import Record, State
from router.prefix.node import Holder
from router.prefix.outline import MOST_RUNS, Run, Share, outline
from router.prefix.residency import Limits, Residency


def chain(*blocks: int) -> bytes:
    return b"".join(b"%08d" % block for block in blocks)


def residency_with(*records: tuple[str, bytes, State]) -> Residency:
    residency = Residency(Limits(), lambda: 0.0)
    for holder, held, state in records:
        residency.apply(Record(holder, held, state))
    return residency


def seen(residency: Residency, *names: str) -> list[Run]:
    holders: list[Holder] = [holder for name in names if (holder := residency.holder(name)) is not None]
    return outline(holders, residency.tree.root)


def test_a_shared_beginning_is_one_run_with_the_rest_below_it() -> None:
    residency = residency_with(
        ("a", chain(1, 2, 3, 4), State.CONFIRMED),
        ("a", chain(1, 2, 8), State.CONFIRMED),
        ("b", chain(1, 2, 3), State.CONFIRMED),
    )
    (root,) = seen(residency, "a", "b")
    assert (root.start, root.blocks, root.shares) == (0, 2, [Share("a", 2, 2), Share("b", 2, 2)])
    lengths = {(run.start, run.blocks): run.shares for run in root.below}
    assert lengths == {(2, 2): [Share("a", 2, 2), Share("b", 1, 1)], (2, 1): [Share("a", 1, 1)]}


def test_what_is_being_prefilled_is_told_apart() -> None:
    residency = residency_with(("a", chain(1), State.CONFIRMED), ("b", chain(1), State.PENDING))
    (root,) = seen(residency, "a", "b")
    assert root.shares == [Share("a", 1, 1), Share("b", 0, 1)]


def test_runs_that_were_not_used_lately_are_only_counted() -> None:
    records = [("a", chain(1, number), State.CONFIRMED) for number in range(2, 50)]
    (root,) = seen(residency_with(*records), "a")
    assert len(root.below) + root.more == len(records)
    assert root.more > 0


def test_it_is_bounded_and_changes_nothing() -> None:
    names = [f"h{number}" for number in range(16)]
    records = [(name, chain(at, at + 100), State.CONFIRMED) for at, name in enumerate(names * 40)]
    residency = residency_with(*records)
    before = [residency.chains(name) for name in names]
    runs = seen(residency, *names)
    assert 0 < len(runs) <= MOST_RUNS
    assert [residency.chains(name) for name in names] == before


def test_nothing_is_told_of_nobody() -> None:
    assert seen(residency_with(), "a") == []
