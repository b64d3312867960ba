"""Families over several routers: who is known by an id there, and whose room a family has."""

import pytest

from router.prefix.index import HASH_BYTES
from router.sessions.memory.session import AWAY_S, Session
from router.sessions.recognition.families import MAX_MEMBERS
from router.sessions.recognition.hints import NO_HINT, Hint
from router.sessions.recognition.turn import Turn
from router.sessions.shared.batch import unpack
from router.sessions.shared.fleet_book import LIFE_S
from router.sessions.shared.telling import Taken
from tests.router.fleets import MODEL
from tests.router.sessions.chains import prompt_of
from tests.router.sessions.pair import Routers, Told
from tests.router.sessions.recognition.test_families import hint_of

Parts = tuple[str, int]
OPENING: Parts = ("opening", 9_000)


def come(router: Told, hint: Hint, *parts: Parts) -> Turn:
    turn = router.admission.arrive(MODEL, {"f": prompt_of(*parts)}, hint=hint)
    assert turn is not None
    return turn


def begin(router: Told, hint: Hint, *parts: Parts) -> Turn:
    turn = come(router, hint, *parts)
    router.places(turn)
    turn.begin(router.workers[0])
    return turn


def end(routers: Routers, turn: Turn, calls: bool = True) -> Session:
    routers.wait(1.0)
    turn.left(turn.prompt, True)
    turn.learn(calls, 50, None)
    routers.talk()
    assert turn.session is not None
    return turn.session


def whole(routers: Routers, router: Told, hint: Hint, *parts: Parts, calls: bool = True) -> Session:
    return end(routers, begin(router, hint, *parts), calls)


def same(router: Told, session: Session) -> Session:
    """The session, as this router knows it."""
    found = router.admission.book.get(session.id)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_compacted_turn_goes_on_as_the_same_session_at_any_router(count: int) -> None:
    routers, hint = Routers(count), hint_of("a")
    one, *others = routers.all
    for parts in ([OPENING], [OPENING, ("b", 20_000)]):
        session = whole(routers, one, hint, *parts)
    for other in others:
        compacted = come(other, hint, OPENING, ("summary", 2_000))
        assert (compacted.session, compacted.broken, compacted.standing) == (same(other, session), True, "inside")
        assert come(other, hint_of("b"), OPENING, ("summary", 2_000)).session is None, "another one's id"
    last = others[-1]
    whole(routers, last, hint, OPENING, ("summary", 2_000))
    assert routers.agree()[1] == 1
    assert 11_000 < routers.agree()[0] < 11_500
    again = come(one, hint, OPENING, ("another", 2_000))
    assert again.session is None, "not a second time before it has gone on by its chain"


def test_a_child_is_of_its_family_at_another_router_and_has_its_room() -> None:
    routers = Routers(3)
    one, two, three = routers.all
    parents = [whole(routers, one, hint_of(name), (name, 30_000)) for name in "abc"]
    stranger, child = come(two, hint_of("x"), ("x", 30_000)), come(two, hint_of("child", "b"), ("child", 29_000))
    assert (stranger.standing, two.places(stranger)) == ("new", [])
    assert (child.standing, child.known, two.places(child)) == ("branch", True, ["w0"])
    child.begin(two.workers[0])
    routers.talk()
    assert routers.agree()[1] == 3, "its parent has made room for it, at all routers"
    assert same(three, parents[1]).place is None
    second = come(three, hint_of("second", "b"), ("second", 29_000))
    assert three.places(second) == [], "one of a family runs in its room"
    end(routers, child)
    assert three.places(second) == ["w0"]
    back = come(one, hint_of("b"), ("b", 30_000), ("result", 200))
    assert back.session is parents[1]
    assert one.places(back) == ["w0"]


async def test_two_children_through_two_routers_at_once_use_the_room_of_their_parent_once() -> None:
    routers = Routers(3)
    one, two, three = routers.all
    for name in "abc":
        whole(routers, one, hint_of(name), (name, 30_000))
    first, second = (come(each, hint_of(each.name, "b"), (each.name, 29_000)) for each in (two, three))
    assert two.places(first) == three.places(second) == ["w0"]
    assert await two.book.reserve(first, two.workers[0])
    first.begin(two.workers[0])
    assert not await three.book.reserve(second, three.workers[0]), "it has heard of its relative in the refusal"
    assert three.book.outcomes[Taken.NO] == 1
    routers.talk()
    tokens, inside = routers.agree()
    assert (inside, tokens < 95_000) == (3, True)


def test_a_parent_keeps_its_memory_at_all_routers_while_its_child_runs_at_one() -> None:
    routers = Routers(2)
    one, two = routers.all
    parent = whole(routers, one, hint_of("a"), ("a", 20_000))
    alone = whole(routers, one, hint_of("b"), ("b", 20_000))
    child = begin(two, hint_of("child", "a"), ("child", 20_000))
    routers.talk()
    for _ in range(5):
        routers.wait((AWAY_S - 10) / 5)
        for each in routers.all:
            each.tell(anyway=True)
        routers.talk()
    for each in routers.all:
        each.admission.end_leases()
        assert (same(each, parent).place is not None, same(each, alone).place is not None) == (True, False)
    end(routers, child)
    for each in routers.all:
        each.admission.end_leases()
        assert same(each, parent).place is not None, "it has a lease from now on"
        assert same(each, parent).kept_until > each.now


def test_a_parent_keeps_its_memory_for_a_lease_after_its_child_s_router_has_died() -> None:
    routers = Routers(2)
    one, two = routers.all
    parent = whole(routers, one, hint_of("a"), ("a", 20_000))
    begin(two, hint_of("child", "a"), ("child", 20_000))
    routers.talk()
    routers.wait(LIFE_S + 60.0)
    one.admission.end_leases()
    assert parent.busy(one.now)
    one.book.beat()
    one.admission.end_leases()
    assert (parent.busy(one.now), parent.place is not None) == (False, True)
    assert len(one.admission.book) == 1, "the child is forgotten"
    routers.wait(60.0)
    one.admission.end_leases()
    assert parent.place is None


def test_the_end_of_a_session_is_heard_by_all_wherever_it_is_told() -> None:
    routers = Routers(3)
    one, two, three = routers.all
    for name in "ab":
        whole(routers, one, hint_of(name, "f"), (name, 20_000))
    bye = {"f": prompt_of(("bye", 20))}
    assert two.admission.arrive(MODEL, bye, hint=hint_of("b", "f", ends=True)) is None
    routers.talk()
    assert [len(each.admission.book) for each in routers.all] == [1, 1, 1]
    assert routers.agree() == (20_000 + 256, 1)
    whole(routers, three, hint_of("a", "f", ends=True), ("a", 20_000), ("more", 100))
    assert [len(each.admission.book) for each in routers.all] == [0, 0, 0]
    assert [len(each.admission.families) for each in routers.all] == [0, 0, 0]
    assert routers.agree() == (0, 0)


def test_a_new_router_is_told_of_families_and_a_dead_one_s_are_remembered() -> None:
    routers = Routers(2)
    one, two = routers.all
    whole(routers, one, hint_of("a"), ("a", 20_000))
    late = Told(9, routers.stream)
    late.read = len(routers.stream)
    one.book.tell_all()
    routers.all.append(late)
    routers.talk()
    assert come(late, hint_of("child", "a"), ("child", 2_000)).standing == "branch"
    for each in (two, late):
        each.book.lose()
    assert come(two, hint_of("child", "a"), ("child", 2_000)).standing == "branch"


def test_an_id_of_too_many_names_no_family_at_any_router() -> None:
    routers = Routers(2)
    for each in routers.all:
        each.give_memory(10_000_000)
    one, two = routers.all
    for number in range(MAX_MEMBERS + 1):
        whole(routers, routers.all[number % 2], hint_of(f"c{number}", "fleet"), (f"{number}", 2_000))
    for each in (one, two):
        assert come(each, hint_of("another", "fleet"), ("another", 2_000)).standing == "new"


def test_whose_turn_it_is_is_heard_while_it_waits() -> None:
    routers = Routers(2)
    one, two = routers.all
    turn = come(two, hint_of("child", "a"), ("child", 2_000))
    nameless = come(two, NO_HINT, ("child", 2_000))
    assert (turn.standing, turn.family) == ("new", None)
    whole(routers, one, hint_of("a"), ("a", 20_000))
    for each in (turn, nameless):
        two.book.recognise(each)
    assert (turn.standing, turn.known) == ("branch", True)
    assert (nameless.standing, nameless.known) == ("new", False)


def test_what_is_told_are_hashes_of_a_bounded_length_and_nothing_without_an_id() -> None:
    routers = Routers(1)
    (one,) = routers.all
    named, nameless = begin(one, hint_of("a", "f"), OPENING), begin(one, NO_HINT, ("x", 2_000))
    batch = one.book.write()
    assert batch is not None
    states = {state.id: state for state in unpack(batch).states}
    assert named.session is not None
    assert nameless.session is not None
    told = states[named.session.id]
    assert (told.own_id, told.family_id) == (hint_of("a").own, hint_of("f").own)
    assert told.start == prompt_of(OPENING).chain[:HASH_BYTES]
    other = states[nameless.session.id]
    assert (other.own_id, other.family_id, other.start) == (b"", b"", b"")
