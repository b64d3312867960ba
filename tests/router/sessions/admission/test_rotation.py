"""Whose place a turn is given that has waited for long enough, and that no place is promised twice."""

import pytest

from router.sessions.recognition.turn import Turn
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import BOUND_S, Site


def full_site(workers: int) -> Site:
    """Three sessions of 30,000 tokens at each worker, all idle, with leases that do not end."""
    site = Site(workers)
    for number, worker in enumerate(site.workers):
        for name in "abc":
            turn = site.run(f"{name}{number}", worker, seconds=10.0)
            assert turn.session is not None
            turn.session.kept_until = 1e9
    return site


def waits(site: Site, name: str) -> Turn:
    turn, _ = site.arrive(name)
    site.admission.wait(turn)
    return turn


def test_of_all_workers_the_session_that_is_inside_for_longest_leaves() -> None:
    site = full_site(2)
    oldest, *others = site.admission.sets[site.workers[0].holder].sessions
    turn = waits(site, "x")
    site.now += 10 * BOUND_S
    site.admission.claim(turn, site.workers[::-1])
    assert oldest.place is None
    assert all(session.place is not None for session in others)
    assert (site.admission.rotated, site.places(turn)) == (1, ["w0"])


def test_one_whose_load_took_longer_than_it_is_inside_stays() -> None:
    site = full_site(1)
    place = site.admission.sets[site.workers[0].holder]
    turn = waits(site, "x")
    site.now += 10 * BOUND_S
    for session in place.sessions:
        session.since = site.now - 1.0  # 30,000 tokens take 3.75 s at 8,000 a second
    site.admission.claim(turn, site.workers)
    assert (turn.claim, site.admission.rotated) == (None, 0)


@pytest.mark.parametrize("turns", [0, 1])
def test_one_without_an_answered_turn_stays_while_it_runs(turns: int) -> None:
    site = full_site(1)
    place = site.admission.sets[site.workers[0].holder]
    turn = waits(site, "x")
    site.now += 10 * BOUND_S
    for session in place.sessions:
        session.running, session.turns = 1, turns
    site.admission.claim(turn, site.workers)
    assert [session.leaving for session in place.sessions] == ([True, False, False] if turns else [False] * 3)


def test_a_turn_that_goes_gives_its_claim_back_once() -> None:
    site = full_site(1)
    place = site.admission.sets[site.workers[0].holder]
    turn = waits(site, "x")
    site.now += 10 * BOUND_S
    site.admission.claim(turn, site.workers)
    assert list(place.claims) == [turn]
    changes = site.admission.changes
    for _ in range(2):
        site.admission.go(turn)
        assert (place.claims, turn.claim, site.admission.changes) == ({}, None, changes + 1)
    assert site.admission.demand(MODEL).waiting == {}


def test_two_claims_make_room_for_both_and_the_first_is_served_first() -> None:
    site = full_site(1)
    place = site.admission.sets[site.workers[0].holder]
    first, second = waits(site, "x"), waits(site, "y")
    site.now += 10 * BOUND_S
    site.admission.claim(first, site.workers)
    assert not site.admission.has_room(second, site.workers)
    site.admission.claim(second, site.workers)
    assert list(place.claims) == [first, second]
    assert site.admission.rotated == 2
    assert all(site.admission.has_room(turn, site.workers) for turn in (first, second))
