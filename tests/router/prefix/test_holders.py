"""Removals and numbers: believed again in time, and not kept for ever."""

from router.prefix.holders import LATE_S, MAX_KNOWN, Holders
from tests.router.prefix.conftest import Clock


def test_a_removed_holder_is_believed_again_by_a_higher_number_only(clock: Clock) -> None:
    holders = Holders(clock, 10)
    assert holders.seen("w1", 5)
    holders.remove("w1")
    assert holders.removals() == [("w1", 5)]
    assert not holders.seen("w1", 5)
    holders.removed("w1")
    assert holders.removals() == []
    assert not holders.seen("w1", 5), "an answer that was on its way"
    assert holders.seen("w1", 6)


def test_removals_are_not_kept_for_ever(clock: Clock) -> None:
    holders = Holders(clock, 10)
    for number in range(500):
        assert holders.seen(f"w{number}", number + 1)
        holders.remove(f"w{number}")
        holders.removed(f"w{number}")
        clock.now += 1
    assert len(holders._removals) <= LATE_S + 1
    assert not holders.seen("w499", 500)


def test_numbers_are_not_kept_for_ever(clock: Clock) -> None:
    holders = Holders(clock, 10)
    forgotten: list[str] = []
    holders.on_forgotten.append(forgotten.append)
    for number in range(MAX_KNOWN + 10):
        assert holders.seen(f"w{number}", number + 1)
    assert len(holders._numbers) == MAX_KNOWN
    assert holders.seen("w0", MAX_KNOWN + 100)
    assert not forgotten, "of one that is not known any more nothing was lost"
