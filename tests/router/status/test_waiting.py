"""Who waits, as the status tells it: in their order, bounded, and without making a model known."""

from router.observe.metrics import Instruments
from router.routing.fair_queue import Ticket
from router.routing.line import LineLimits
from router.routing.waiting_room import WaitingRoom
from router.status.waiting import MOST_MODELS, MOST_WAITING, models, waiting
from tests.router.fleets import MODEL, make_fleet
from tests.router.routing.test_line import FakeSearch
from tests.router.sessions.admission.test_admission import Site


def room_with(*tickets: Ticket) -> WaitingRoom:
    room = WaitingRoom(LineLimits(1.0, 60.0, 1000), lambda: 10.0, Instruments().queue_wait)
    for ticket in tickets:
        room.line.enter(ticket, lambda: None)
    return room


def test_each_request_in_line_with_what_it_waits_for() -> None:
    first = Ticket("team", 1.0, "m\n1")
    second = Ticket("other", 1.0, MODEL, FakeSearch(), patient=True, lacks_room=True)
    told = waiting(room_with(first, second), 12.5)
    assert [(each["client"], each["waits_for"]) for each in told] == [("team", "saturated"), ("other", "memory")]
    assert [each["known_session"] for each in told] == [False, True]
    assert [each["waited_s"] for each in told] == [2.5, 2.5]
    assert "\n" not in told[0]["model"]


def test_of_a_long_line_the_first_are_told() -> None:
    tickets = [Ticket(f"client {number}", 1.0, MODEL) for number in range(MOST_WAITING + 20)]
    told = waiting(room_with(*tickets), 11.0)
    assert [each["client"] for each in told] == [ticket.client for ticket in tickets[:MOST_WAITING]]


def test_what_admission_does_with_a_model_s_sessions() -> None:
    site = Site(2)
    for name in "abcdefg":
        site.run(name)
    turn, _ = site.arrive("h")
    site.admission.wait(turn)
    (told,) = models(site.fleet, site.admission)
    assert (told["model"], told["workers"], told["available"]) == (MODEL, 2, 2)
    assert (told["holds_back"], told["turns_waiting"]) == (True, 1)
    assert told["waiting_tokens"] == turn.wanted.tokens
    assert told["room_is_made_after_s"] > 0


def test_reading_it_makes_no_model_known() -> None:
    site = Site()
    (told,) = models(site.fleet, site.admission)
    assert (told["holds_back"], told["turns_waiting"], told["room_is_made_after_s"]) == (False, 0, None)
    assert site.admission.demands() == []


def test_models_are_bounded() -> None:
    fleet = make_fleet(1, *(f"m{number}" for number in range(2 * MOST_MODELS)))
    assert len(models(fleet, Site().admission)) == MOST_MODELS
