"""Who is inside where: how much room there is, and what is told when a session leaves."""

from dataclasses import replace

import pytest

from router.fleet.worker import Worker
from router.sessions.admission.inside import Inside
from router.sessions.memory.session import Session
from tests.router.fleets import MODEL, make_fleet


class Kept:
    """One worker with 100,000 KV tokens, and a clock made by hand."""

    def __init__(self, extra_tokens: int = 0) -> None:
        self.now = 0.0
        self.inside = Inside(extra_tokens, lambda: self.now)
        self.changed: list[Session] = []
        self.inside.on_change = self.changed.append
        (self.worker,) = make_fleet(1).groups[MODEL].workers

    def enter(self, kept_until: float = 10.0) -> Session:
        session = Session(MODEL)
        place = self.inside.place_of(self.worker.holder)
        place.enter(session, self.now)
        session.kept_until = kept_until
        place.idle_until(kept_until)
        return session


def test_room_is_a_share_of_the_memory_and_of_the_host_s() -> None:
    kept = Kept(extra_tokens=50_000)
    assert kept.inside.room(kept.worker) == 150_000
    kept.enter()
    assert kept.inside.room(kept.worker) == 142_500, "95 % once sessions are there"
    kept.inside.share = 0.5
    assert kept.inside.room(kept.worker) == 71_250


def without_size(worker: Worker) -> None:
    worker.pool = replace(worker.pool, kept_tokens=0)


def without_cache(worker: Worker) -> None:
    worker.pool = replace(worker.pool, caches=False)


@pytest.mark.parametrize("change", [without_size, without_cache])
def test_there_is_no_room_where_nothing_is_kept_or_known(change: object) -> None:
    kept = Kept(extra_tokens=50_000)
    assert callable(change)
    change(kept.worker)
    assert kept.inside.room(kept.worker) == 0


def test_looking_makes_no_place() -> None:
    kept = Kept()
    assert kept.inside.set_of(kept.worker) is None
    place = kept.inside.place_of(kept.worker.holder)
    assert kept.inside.set_of(kept.worker) is place is kept.inside.place_of(kept.worker.holder)


def test_leases_that_are_over_end_and_others_stay() -> None:
    kept = Kept()
    first, second = kept.enter(10.0), kept.enter(20.0)
    kept.now = 9.9
    kept.inside.end_leases()
    assert (first.place is None, kept.inside.expired) == (False, 0)
    kept.now = 10.0
    kept.inside.end_leases()
    assert (first.place is None, second.place is None) == (True, False)
    assert (kept.inside.expired, kept.inside.changes, kept.changed) == (1, 1, [])


def test_who_leaves_is_told_once() -> None:
    kept = Kept()
    session = kept.enter()
    for _ in range(2):
        kept.inside._leave(session)
    assert (kept.inside.changes, kept.changed) == (1, [session])


def test_a_worker_that_has_lost_all_keeps_nobody() -> None:
    kept = Kept()
    sessions = [kept.enter(), kept.enter()]
    kept.inside.forget(kept.worker.holder)
    kept.inside.forget("never seen")
    assert [session.place for session in sessions] == [None, None]
    assert kept.inside.sets == {}
