"""What is told of a session: all of it, and of its anchors the new ones."""

from router.sessions.memory.session import Ending
from router.sessions.shared.batch import ANSWERING, ENDING, LEAVING, OUTSIDE, RETURNED, NameNumbers, unpack
from router.sessions.shared.telling import crowd_of, state_of, taking
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site


def test_a_session_s_anchors_are_told_once() -> None:
    site = Site()
    turn = site.run("a")
    session, names = turn.session, NameNumbers()
    assert session is not None
    first = state_of(session, True, names, site.now)
    assert names.all() == [MODEL, site.workers[0].holder]
    assert (first.known_anchors, len(first.anchors)) == (0, 8 * len(session.anchors))
    assert (first.running, first.turns, first.flags) == (0, 1, ENDING * Ending.FIRST_ANSWER | ENDING * Ending.CALL)
    again, _ = site.arrive("a", grow=2048)
    again.begin(site.workers[0])
    second = state_of(session, False, NameNumbers(), site.now)
    assert (second.known_anchors, len(second.anchors)) == (len(first.anchors) // 8, 16)
    assert (second.running, second.flags & (RETURNED | ANSWERING | LEAVING)) == (1, RETURNED)
    site.admission.forget(site.workers[0].holder)
    outside = state_of(session, False, NameNumbers(), site.now)
    assert (outside.worker, outside.known_anchors, outside.anchors) == (OUTSIDE, 0, b"")


def test_who_takes_room_says_what_it_will_hold() -> None:
    site = Site()
    turn = site.run("a")
    site.admission.forget(site.workers[0].holder)
    again, _ = site.arrive("a", grow=2048)
    assert again.session is not None
    assert again.session is turn.session
    batch = unpack(taking(again, again.session, site.workers[0], crowd_of(site.admission), site.now))
    (state,) = batch.states
    assert batch.names[state.worker] == site.workers[0].holder
    assert (state.running, state.held_tokens, state.id) == (1, again.wanted.tokens, again.session.id)
    assert len(state.anchors) == 8 * len(again.wanted.anchors)


def test_who_waits_is_told_with_what_is_claimed() -> None:
    site = Site()
    assert crowd_of(site.admission) == ([], [])
    for name in "abc":
        site.arrive(name)[0].begin(site.workers[0])
    waiting, _ = site.arrive("d")
    site.admission.wait(waiting)
    assert crowd_of(site.admission) == ([(MODEL, 1, waiting.wanted.tokens)], [])
    place = site.admission.sets[site.workers[0].holder]
    place.claims[waiting] = 5
    place.claims[object()] = 7  # another router's
    assert crowd_of(site.admission)[1] == [(site.workers[0].holder, 5)]
