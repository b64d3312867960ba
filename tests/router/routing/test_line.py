"""The line with a clock made by hand: whose turn it is, who is late, who lacks room."""

from collections.abc import Callable

from router.routing.fair_queue import Ticket
from router.routing.line import MOST_CLAIMS, MOST_SEARCHES, Line, LineLimits


class FakeSearch:
    """A search whose result is set by the test."""

    def __init__(self, found: bool = False, begins: bool = True) -> None:
        self.is_there = found
        self.is_free = begins
        self.patient = self.waited = False
        self.claims = 0
        self.looked = 0
        self.stalled = False

    def found(self) -> bool:
        self.looked += 1
        return self.is_there

    def begins(self) -> bool:
        return self.is_free

    def claim(self) -> bool:
        self.claims += 1
        return self.claims == 1


class Site:
    def __init__(self, timeout_s: float = 5.0) -> None:
        self.now = 0.0
        self.line = Line(LineLimits(1.0, timeout_s, 1000), lambda: self.now)
        self.called: list[Ticket] = []

    def enter(self, group: str = "m", search: FakeSearch | None = None) -> Ticket:
        ticket = Ticket("a", 1.0, group, search)
        self.line.enter(ticket, self.call(ticket))
        return ticket

    def call(self, ticket: Ticket) -> Callable[[], None]:
        return lambda: self.called.append(ticket)

    def go(self, ticket: Ticket) -> None:
        self.line.went(ticket, 100)
        assert self.line.leave(ticket)
        self.line.give()


def test_one_tries_at_a_time() -> None:
    site = Site()
    first, second = site.enter(), site.enter()
    site.line.look()
    site.line.look()
    assert site.called == [first]
    site.go(first)
    assert site.called == [first, second]


def test_a_group_is_tried_once_a_look() -> None:
    site = Site()
    first, second, other = site.enter(), site.enter(), site.enter("n")
    site.line.look()
    site.line.stay(first, site.call(first))
    assert site.called == [first, other]
    site.go(other)
    assert site.called == [first, other]
    site.line.look()
    assert site.called == [first, other, first]
    assert site.line.crowded("m")
    site.line.leave(first)
    site.line.leave(second)
    assert not site.line.crowded("m")


def test_who_finds_no_room_is_passed_by_whoever_does() -> None:
    site = Site()
    large, small = site.enter(search=FakeSearch()), site.enter(search=FakeSearch(True))
    site.line.look()
    assert (site.called, large.lacks_room, small.lacks_room) == ([small], True, False)


def test_who_has_room_at_saturated_workers_alone_is_passed_and_has_no_room_made() -> None:
    site = Site(timeout_s=5.0)
    search = FakeSearch(True, begins=False)
    first, second = site.enter(search=search), site.enter(search=FakeSearch(True))
    site.line.look()
    assert (site.called, first.lacks_room) == ([second], False)
    site.go(second)
    site.now = 6.0
    site.line.look()
    assert first.late, "it waits for a worker, not for room"
    assert search.claims == 0


def test_where_every_worker_is_saturated_nobody_else_is_looked_at() -> None:
    site = Site()
    first, second = FakeSearch(True, begins=False), FakeSearch(True, begins=False)
    first.stalled = True
    for search in (first, second):
        site.enter(search=search)
    other = site.enter("n", FakeSearch(True))
    site.line.look()
    assert (site.called, first.looked, second.looked) == ([other], 1, 0)


def test_those_that_are_passed_at_a_look_are_bounded() -> None:
    site = Site()
    searches = [FakeSearch(True, begins=False) for _ in range(2 * MOST_SEARCHES)]
    tickets = [site.enter(search=search) for search in searches]
    last, other = site.enter(search=FakeSearch(True)), site.enter("n", FakeSearch(True))
    site.line.look()
    assert site.called == [other]
    assert sum(search.looked for search in searches) == MOST_SEARCHES
    assert not any(ticket.lacks_room for ticket in (*tickets, last))


def test_a_wait_for_room_has_no_end_and_asks_for_room_to_be_made() -> None:
    site = Site(timeout_s=5.0)
    search = FakeSearch()
    ticket = site.enter(search=search)
    for _ in range(3):
        site.line.look()
        site.now += 100.0
    assert (site.called, ticket.late, search.claims) == ([], False, 2), "no claim before the first search"
    search.is_there = True
    site.line.look()
    assert site.called == [ticket]


def test_a_wait_for_a_worker_has_one() -> None:
    site = Site(timeout_s=5.0)
    first, second = site.enter(), site.enter()
    site.line.look()
    site.now = 6.0
    site.line.look()
    assert second.late
    assert not first.late, "it tries just now"
    assert site.called == [first, second]


def test_a_wait_for_a_worker_begins_when_there_is_room() -> None:
    site = Site(timeout_s=5.0)
    search = FakeSearch()
    ticket = site.enter(search=search)
    for site.now in (0.0, 60.0):
        site.line.look()
    search.is_there = True
    site.line.look()
    assert site.called == [ticket]
    site.line.stay(ticket, site.call(ticket))
    site.now = 64.0
    site.line.look()
    assert not ticket.late, "the wait for room counted"
    site.line.stay(ticket, site.call(ticket))
    site.now = 65.0
    site.line.look()
    assert ticket.late


def test_who_was_not_searched_for_lacks_room_too() -> None:
    site = Site(timeout_s=5.0)
    tickets = [site.enter(search=FakeSearch()) for _ in range(2 * MOST_SEARCHES)]
    for site.now in (0.0, 60.0):
        site.line.look()
    assert not any(ticket.late for ticket in tickets)


def test_one_model_s_searches_hold_up_no_other_model() -> None:
    site = Site()
    searches = [FakeSearch() for _ in range(2 * MOST_SEARCHES)]
    for search in searches:
        site.enter(search=search)
    other = site.enter("n", FakeSearch(True))
    site.line.look()
    assert site.called == [other]
    assert sum(search.looked for search in searches) == MOST_SEARCHES


def test_time_to_come_back_is_bounded() -> None:
    site = Site()
    assert site.line.retry_after_s == 1
    for _ in range(500):
        site.enter()
    assert 1 <= site.line.retry_after_s <= 60


def test_a_known_session_s_turn_is_not_refused_and_another_s_time_begins_when_it_has_room() -> None:
    site = Site(timeout_s=5.0)
    search = FakeSearch()
    new = site.enter(search=search)
    known = Ticket("a", 1.0, "m", FakeSearch(True), patient=True)
    blocking = site.enter()
    site.line.enter(known, site.call(known))
    for _ in range(3):
        site.line.look()
        site.now += 10.0
    assert [ticket.late for ticket in (new, known)] == [False, False]
    search.is_there = True
    site.line.stay(blocking, site.call(blocking))
    site.line.look()
    assert site.called[-1] is new
    site.line.stay(new, site.call(new))
    site.now += 4.0
    site.line.look()
    assert not new.late
    site.line.stay(new, site.call(new))
    site.now += 2.0
    site.line.look()
    assert new.late
    assert not known.late


def test_a_few_claims_are_made_at_one_look_and_all_of_them_soon() -> None:
    site, searches = Site(), [FakeSearch() for _ in range(3 * MOST_CLAIMS)]
    for search in searches:
        site.enter(search=search)
    site.line.look()  # they have not looked for room before
    for look in range(1, 4):
        site.line.look()
        assert [bool(search.claims) for search in searches] == [at < look * MOST_CLAIMS for at in range(len(searches))]


def test_claims_are_made_in_the_order_of_the_line() -> None:
    site = Site()
    searches = {client: [FakeSearch() for _ in range(MOST_SEARCHES)] for client in ("many", "few")}
    searches["few"] = searches["few"][:1]
    for client, its_searches in searches.items():
        for search in its_searches:
            ticket = Ticket(client, 1.0, "m", search)
            site.line.enter(ticket, site.call(ticket))
    served = Ticket("many", 1.0, "m", FakeSearch(True))
    site.line.enter(served, site.call(served))
    site.line.went(served, 10_000)
    site.line.leave(served)
    for _ in range(2):
        site.line.look()
    assert searches["few"][0].claims == 1, "its client has been given nothing yet"


def test_who_is_sent_away_is_told_how_many_stood_before() -> None:
    site = Site(timeout_s=5.0)
    tickets = [site.enter() for _ in range(3)]
    site.line.look()
    site.line.stay(tickets[0], site.call(tickets[0]))
    tickets[0].patient = True
    site.now = 5.0
    site.line.look()
    assert [(one.late, one.before) for one in tickets] == [(False, 0), (True, 1), (True, 2)]


def test_how_many_stand_before_is_counted_once_between_two_looks() -> None:
    """All who wait may ask at the same moment, and each count goes through the whole line."""
    site = Site()
    tickets = [site.enter() for _ in range(3)]
    site.line.look()
    assert site.line.before(tickets[2]) == 2
    site.enter("late")
    site.line.leave(tickets[0])
    assert [site.line.before(each) for each in tickets] == [0, 1, 2], "as it was counted"
    site.line.look()
    assert site.line.before(tickets[2]) == 1


def test_how_many_stand_before_a_ticket_is_the_order_of_the_line() -> None:
    site = Site()
    first, second, other = site.enter(), site.enter(), site.enter("n")
    assert [site.line.before(each) for each in (first, second, other)] == [0, 1, 2]
    site.line.look()
    site.go(first)
    site.line.look()
    assert [site.line.before(each) for each in (first, second, other)] == [2, 0, 1]
