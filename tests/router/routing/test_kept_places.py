"""Who hung up in line and comes back stands where it stood."""

from router.routing.fair_queue import FairQueue, Ticket
from router.routing.kept_places import MAX_KEPT, KeptPlaces
from router.sessions.recognition.turn import RETURN_S


def ticket(turn: bytes = b"t", client: str = "a", group: str = "m", number: int = 0) -> Ticket:
    return Ticket(client, 1.0, group, turn=turn, number=number)


def kept(now: float = 100.0) -> KeptPlaces:
    places = KeptPlaces()
    stood = ticket(number=7)
    stood.came, stood.since = 20.0, 30.0
    places.keep(stood, now)
    return places


def test_the_same_turn_gets_its_place_once() -> None:
    places, again = kept(), ticket()
    assert places.take(again, 100.0 + RETURN_S)
    assert (again.number, again.came, again.since) == (7, 20.0, 30.0)
    assert not places.take(ticket(), 100.0)


def test_another_turn_client_or_model_gets_none() -> None:
    places = kept()
    for other in (ticket(b"u"), ticket(client="b"), ticket(group="n")):
        assert not places.take(other, 100.0)
    assert len(places) == 1


def test_a_place_is_not_kept_for_ever() -> None:
    places, late = kept(), ticket()
    assert not places.take(late, 101.0 + RETURN_S)
    assert (late.number, len(places)) == (0, 0)


def test_what_cannot_be_told_apart_is_not_kept() -> None:
    places = KeptPlaces()
    places.keep(ticket(b""), 1.0)
    assert len(places) == 0


def test_they_are_bounded_and_old_ones_go_first() -> None:
    places = KeptPlaces()
    for number in range(MAX_KEPT + 10):
        places.keep(ticket(b"%d" % number), 1.0)
    assert len(places) == MAX_KEPT
    assert not places.take(ticket(b"9"), 1.0)
    assert places.take(ticket(b"10"), 1.0)
    places.keep(ticket(client="b"), 2.0 + RETURN_S)
    assert len(places) == 1


def test_no_client_pushes_out_another_one_s() -> None:
    places = kept()
    for number in range(2 * MAX_KEPT):
        places.keep(ticket(b"%d" % number, client="b"), 101.0)
    assert places.take(ticket(), 102.0)
    assert len(places) == MAX_KEPT


def test_it_stands_before_those_that_came_after_it() -> None:
    queue = FairQueue(10)
    first, second, third = (ticket(bytes([number])) for number in range(3))
    for one in (first, second, third):
        queue.enter(one)
    queue.leave(second)
    back = ticket(bytes([1]), number=second.number)
    queue.enter(back)
    last = ticket(b"last")
    queue.enter(last)
    assert list(queue.in_order()) == [first, back, third, last]
