"""The newest decision holds, old ones never come back."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.dial.allow import AllowList, read_rule
from router.fleet.worker_names import worker_id
from router.members.book import MAX_AGE_S, MAX_AHEAD_S, RENEW_S, TOMB_S, Book, EntryOutcome
from router.members.entry import Entry, Standing

NOW = 1_700_000_000.0
URL = "http://10.0.0.1:8000"
ID = worker_id(URL)


def entry(standing: Standing = Standing.PRESENT, at: float = NOW, url: str = URL, added: bool = True) -> Entry:
    return Entry(worker_id(url), url, standing, added, int(at * 1e6), int(at))


def book() -> Book:
    return Book(AllowList((read_rule("10.0.0.0/8"),), ()).check, worker_id)


def test_the_newest_entry_holds() -> None:
    one = book()
    assert one.accept(ID, entry(), NOW) is EntryOutcome.ACCEPTED
    assert one.accept(ID, entry(), NOW) is EntryOutcome.KNOWN
    assert one.accept(ID, entry(Standing.DRAINING, NOW + 1), NOW) is EntryOutcome.ACCEPTED
    assert one.accept(ID, entry(), NOW) is EntryOutcome.REPLAYED
    assert one.get(ID) == entry(Standing.DRAINING, NOW + 1)


def test_a_removal_cannot_be_undone_by_a_copy() -> None:
    one = book()
    one.accept(ID, entry(), NOW)
    one.decide(entry(Standing.REMOVED, NOW + 5))
    assert one.accept(ID, entry(), NOW + 10) is EntryOutcome.REPLAYED
    signed_again = replace(entry(), stamp=int(NOW + 100))
    assert one.accept(ID, signed_again, NOW + 100) is EntryOutcome.REPLAYED, "a router that missed the removal signs on"
    one.renew(NOW + TOMB_S - 1)
    assert one.get(ID) is not None
    one.renew(NOW + 5 + TOMB_S + 1)
    assert one.get(ID) is None
    assert one.accept(ID, entry(), NOW + TOMB_S) is EntryOutcome.STALE


@pytest.mark.parametrize(
    ("worker", "given_entry", "verdict"),
    [
        ("w-0000000000", entry(), EntryOutcome.MISPLACED),
        (ID, replace(entry(), url="http://10.0.0.2:8000"), EntryOutcome.MISPLACED),
        (ID, entry(at=NOW - MAX_AGE_S - 1), EntryOutcome.STALE),
        (ID, entry(at=NOW + MAX_AHEAD_S + 1), EntryOutcome.FUTURE),
        (ID, replace(entry(), stamp=int(NOW + MAX_AHEAD_S + 1)), EntryOutcome.FUTURE),
        (ID, entry(at=NOW + 60), EntryOutcome.ACCEPTED),
        (worker_id("http://192.168.0.1"), entry(url="http://192.168.0.1"), EntryOutcome.NOT_ALLOWED),
        (worker_id("http://192.168.0.1"), entry(Standing.REMOVED, url="http://192.168.0.1"), EntryOutcome.ACCEPTED),
        (worker_id("http://192.168.0.1"), entry(url="http://192.168.0.1", added=False), EntryOutcome.ACCEPTED),
    ],
)
def test_only_entries_that_fit_are_accepted(worker: str, given_entry: Entry, verdict: EntryOutcome) -> None:
    one = book()
    assert one.accept(worker, given_entry, NOW) is verdict
    assert (one.get(worker) is not None) is (verdict is EntryOutcome.ACCEPTED)


def test_a_decision_follows_what_is_known_even_with_a_slow_clock() -> None:
    one = book()
    one.accept(ID, entry(at=NOW + 60), NOW)
    decided = one.decide(entry(Standing.REMOVED, NOW, added=False))
    assert decided.version > int((NOW + 60) * 1e6)
    assert decided.added
    assert one.get(ID) == decided


def test_signing_again_changes_nothing_but_the_stamp() -> None:
    one, other = book(), book()
    one.accept(ID, entry(), NOW)
    other.accept(ID, entry(), NOW)
    one.renew(NOW + RENEW_S + 1)
    renewed = one.get(ID)
    assert renewed is not None
    assert (renewed.version, renewed.stamp) == (entry().version, int(NOW + RENEW_S + 1))
    assert other.accept(ID, renewed, NOW + RENEW_S + 1) is EntryOutcome.KNOWN
    assert other.get(ID) == renewed


@given(st.lists(st.tuples(st.sampled_from(Standing), st.integers(0, 50)), min_size=1, max_size=12), st.integers())
def test_books_agree_whatever_the_order_in_which_they_read(decisions: list[tuple[Standing, int]], seed: int) -> None:
    entries = [
        replace(entry(standing, NOW + at), version=int((NOW + at) * 1e6) + number)
        for number, (standing, at) in enumerate(decisions)
    ]
    shuffled = entries * 2
    random.Random(seed).shuffle(shuffled)
    one, other = book(), book()
    for each in entries:
        one.accept(ID, each, NOW)
    for each in shuffled:
        other.accept(ID, each, NOW)
    assert one.get(ID) == other.get(ID) == max(entries, key=lambda each: each.order)
