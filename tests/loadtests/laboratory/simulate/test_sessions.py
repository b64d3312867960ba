"""Copies of scripts in play."""

import numpy as np

from loadtests.laboratory.simulate.sessions import Session
from tests.loadtests.laboratory.simulate.scripts import script


def test_copies_share_the_common_blocks_and_nothing_else() -> None:
    recorded = script("s", [10, 14], shared=4)
    a, b = Session(b"a", recorded, 111), Session(b"b", recorded, 222)
    for _ in range(2):
        assert a.chain[:4] == b.chain[:4]
        assert not set(a.chain[4:]) & set(b.chain)
        a.advance()
        b.advance()
    assert a.over


def test_a_turn_goes_on_from_the_one_before_and_leaves_it_untouched() -> None:
    session = Session(b"a", script("s", [10, 14]), 5)
    first, before = session.prompt(), session.chain
    session.advance()
    assert session.chain[:10] == before
    assert session.prompt().chain.startswith(first.chain)
    assert (len(first.chain), len(session.prompt().chain)) == (80, 112)


def test_a_session_can_begin_in_its_middle() -> None:
    recorded = script("s", [10, 14, 20])
    late, early = Session(b"a", recorded, 5, first=2), Session(b"a", recorded, 5)
    early.advance()
    early.advance()
    assert late.chain == early.chain


def test_bytes_and_numbers_are_the_same_hashes_and_answers_are_never_found_again() -> None:
    session = Session(b"a", script("s", [10, 14], answer=200), 5)
    job = session.job()
    assert np.frombuffer(session.prompt().chain, dtype=np.uint64).tolist() == session.chain == job.chain[:10]
    assert len(job.chain) == (10 * 64 + 32 + 200) // 64
    session.advance()
    assert not set(job.chain[10:]) & set(session.chain)
    assert not set(job.chain[10:]) & set(session.job().chain)


def test_answers_of_sessions_without_salt_have_nothing_in_common() -> None:
    one, other = (Session(name, script("s", [10], answer=200), 0).job() for name in (b"a", b"b"))
    assert one.chain[:10] == other.chain[:10]
    assert not set(one.chain[10:]) & set(other.chain)


def test_without_salt_hashes_stay_as_recorded() -> None:
    recorded = script("s", [10])
    assert Session(b"a", recorded, 0).chain == recorded.turns[0].new.tolist()
