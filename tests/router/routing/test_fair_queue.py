"""Who is next, as a pure matter."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.fair_queue import FairQueue, Ticket


def ticket(client: str, group: str = "m", weight: float = 1.0) -> Ticket:
    return Ticket(client, weight, group)


def looking(client: str, tokens: int, weight: float = 1.0, group: str = "m") -> Ticket:
    return Ticket(client, weight, group, tokens=tokens)


def test_the_part_of_a_client_is_measured_by_its_weight() -> None:
    queue = FairQueue(100)
    assert queue.part(looking("crowd", 100)) == 1.0, "nobody else is there"
    queue.enter(looking("crowd", 800))
    queue.enter(looking("small", 50, 0.5))
    queue.enter(looking("other", 5000, 0.5, "n"))
    assert queue.part(looking("crowd", 100)) == 1.0
    assert queue.part(looking("small", 50, 0.5)) == pytest.approx((100 / 900) / (0.5 / 1.5))
    assert queue.part(looking("other", 50, 0.5)) == pytest.approx((50 / 900) / (0.5 / 2.0)), (
        "it waits for another model"
    )
    assert queue.part(Ticket("crowd", 1.0, "x")) == 1.0, "nobody looks for any"


def test_of_many_clients_with_one_each_all_have_their_part() -> None:
    queue = FairQueue(100)
    for number in range(50):
        queue.enter(looking(f"client {number}", 100))
    assert queue.part(looking("one more", 100)) == 1.0


def first(queue: FairQueue) -> Ticket | None:
    return next(queue.in_order(), None)


def serve(queue: FairQueue, cost: float = 1.0) -> str:
    """Let the next one go."""
    found = first(queue)
    assert found is not None
    queue.served(found, cost)
    queue.leave(found)
    return found.client


def test_first_come_first_served_within_a_client_over_its_models() -> None:
    queue = FairQueue(10)
    tickets = [ticket("a", group) for group in ("m", "n", "m", "n")]
    for one in tickets:
        assert queue.enter(one) is None
    for one in tickets:
        found = first(queue)
        assert found is one
        queue.leave(one)
    assert (len(queue), first(queue)) == (0, None)


def test_groups_are_told_apart() -> None:
    queue = FairQueue(10)
    tickets = [ticket("a", "m"), ticket("a", "n"), ticket("b", "m")]
    for one in tickets:
        queue.enter(one)
    assert list(queue.in_order()) == tickets
    assert queue.has("m")
    assert not queue.has("o")


def test_a_light_client_goes_before_a_flood() -> None:
    queue = FairQueue(100)
    for _ in range(50):
        queue.enter(ticket("heavy"))
    for _ in range(20):
        serve(queue)
    queue.enter(ticket("light"))
    assert "light" in {serve(queue), serve(queue)}


def test_who_was_away_has_saved_nothing() -> None:
    queue = FairQueue(100)
    for _ in range(40):
        queue.enter(ticket("a"))
    for _ in range(20):
        serve(queue)
    for _ in range(20):
        queue.enter(ticket("b"))
    served = [serve(queue) for _ in range(20)]
    assert 9 <= served.count("b") <= 11


@pytest.mark.parametrize("seed", range(5))
def test_shares_follow_weights_whatever_requests_cost(seed: int) -> None:
    rng = random.Random(seed)
    weights = {"a": 1.0, "b": 2.0, "c": 0.5}
    queue = FairQueue(10_000)
    given_to = dict.fromkeys(weights, 0.0)
    for name, weight in weights.items():
        for _ in range(2000):
            queue.enter(ticket(name, weight=weight))
    sizes = {"a": 100, "b": 1000, "c": 3000}
    while sum(given_to.values()) < 400_000:
        found = first(queue)
        assert found is not None
        cost = sizes[found.client] * rng.uniform(0.5, 1.5)
        queue.served(found, cost)
        queue.leave(found)
        given_to[found.client] += cost
    for name, weight in weights.items():
        assert given_to[name] / sum(given_to.values()) == pytest.approx(weight / 3.5, abs=0.02)


def test_a_full_queue_loses_the_newest_of_the_longest_share() -> None:
    queue = FairQueue(4)
    heavy = [ticket("heavy") for _ in range(4)]
    assert [queue.enter(one) for one in heavy] == [None] * 4
    flood = ticket("heavy")
    assert queue.enter(flood) is flood
    light = ticket("light")
    assert queue.enter(light) is heavy[3]
    assert heavy[3].out
    assert len(queue) == 4
    important = [ticket("important", weight=10) for _ in range(2)]
    assert [queue.enter(one) for one in important] == [heavy[2], heavy[1]]
    assert first(queue) in (heavy[0], light, *important)


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "serve"]), st.integers(0, 3), st.integers(0, 1))))
def test_every_ticket_is_somewhere_exactly_once(steps: list[tuple[str, int, int]]) -> None:
    queue = FairQueue(5)
    inside: list[Ticket] = []
    for what, client, group in steps:
        if what == "enter":
            new = ticket(str(client), str(group), 1.0 + client)
            inside.append(new)
            out = queue.enter(new)
            if out is not None:
                inside.remove(out)
        elif inside:
            found = inside[client % len(inside)] if what == "leave" else first(queue)
            assert found is not None
            if what == "serve":
                queue.served(found, 3.0)
            queue.leave(found)
            queue.leave(found)
            inside.remove(found)
        assert len(queue) == len(inside) <= 5
        assert {name for name in "01" if queue.has(name)} == {one.group for one in inside}


def test_a_line_that_is_full_keeps_known_sessions_turns() -> None:
    queue = FairQueue(3)
    known, new, newest = ticket("a"), ticket("a"), ticket("a", "n")
    for one in (known, new, newest):
        one.patient = one is not new
        assert queue.enter(one) is None
    turn = ticket("a")
    turn.patient = True
    assert queue.enter(turn) is new and (new.out, new.before) == (True, 3)
    late = ticket("a")
    assert queue.enter(late) is late
    last = ticket("a")
    last.patient = True
    assert queue.enter(last) is last, "there are only known sessions' turns"


def levelled(level: int, client: str = "a", group: str = "m") -> Ticket:
    return Ticket(client, 1.0, group, level=level)


def test_levels_of_a_client_share_by_weight_and_the_last_is_not_starved() -> None:
    queue = FairQueue(1000)
    for _ in range(100):
        queue.enter(levelled(0))
        queue.enter(levelled(3))
    went = []
    for _ in range(90):
        found = first(queue)
        assert found is not None
        queue.served(found, 1.0)
        queue.leave(found)
        went.append(found.level)
    assert went.count(3) == 10
    assert 3 in went[:10]


def test_the_urgent_one_goes_before_those_that_came_earlier() -> None:
    queue = FairQueue(100)
    for _ in range(5):
        queue.enter(levelled(0))
    serve(queue)
    queue.enter(urgent := levelled(-1))
    assert first(queue) is urgent


def test_what_a_request_says_takes_nothing_from_another_client() -> None:
    queue = FairQueue(1000)
    for _ in range(100):
        queue.enter(levelled(-3, "loud"))
        queue.enter(levelled(0, "quiet"))
    assert [serve(queue) for _ in range(40)].count("quiet") == 20


def test_a_full_queue_loses_the_last_level_first() -> None:
    queue = FairQueue(2)
    queue.enter(levelled(0))
    queue.enter(batch := levelled(3))
    assert queue.enter(levelled(0)) is batch
