"""Marks are taken back by their own id, and run out."""

from router.prefix.pendings import SLICE, Mark, Pendings

CHAIN, OTHER = b"chain678", b"other678"


def test_the_oldest_that_has_not_run_out_is_taken() -> None:
    pendings = Pendings()
    marks = [Mark(number, 0, 60 + number) for number in range(4)]
    for mark in marks:
        pendings.add("w1", CHAIN, mark)
    assert pendings.take("w1", CHAIN, 61) is marks[2]
    assert pendings.take("w1", OTHER, 61) is None
    assert pendings.take("w2", CHAIN, 61) is None
    assert len(pendings) == 1
    assert pendings.take("w1", CHAIN, 63) is None
    assert len(pendings) == 0


def test_what_is_never_taken_back_runs_out_in_slices() -> None:
    pendings = Pendings()
    for number in range(2 * SLICE):
        pendings.add("w1", number.to_bytes(8, "big"), Mark(number, 0, 60))
    pendings.add("w1", CHAIN, Mark(0, 0, 61))
    pendings.expire(59)
    assert len(pendings) == 2 * SLICE + 1
    pendings.expire(60)
    assert len(pendings) == SLICE + 1
    pendings.expire(60)
    pendings.expire(60)
    assert len(pendings) == 1


def test_one_holders_are_forgotten_together() -> None:
    pendings = Pendings()
    kept = Mark(1, 0, 60)
    for holder, mark in (("w1", Mark(0, 0, 60)), ("w2", kept), ("w1", Mark(2, 0, 60))):
        pendings.add(holder, CHAIN, mark)
    pendings.forget("w1")
    assert len(pendings) == 1
    assert pendings.take("w1", CHAIN, 0) is None
    assert pendings.take("w2", CHAIN, 0) is kept
