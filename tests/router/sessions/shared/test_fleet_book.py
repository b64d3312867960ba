"""Several routers as one: room is given once, every router knows all sessions, and the dead hold nothing."""

import pytest

from router.sessions.memory.session import Ending
from router.sessions.shared.batch import BadBatchError
from router.sessions.shared.fleet_book import LIFE_S, FleetBook
from tests.router.sessions.chains import prompt_of
from tests.router.sessions.pair import MODEL, Routers, Told


def test_what_one_router_lets_in_the_others_count() -> None:
    routers = Routers(3)
    one, two, _ = routers.all
    for name in "abc":
        one.run(name)
    routers.talk()
    assert routers.agree()[1] == 3
    assert two.places(two.arrive("d")[0]) == []
    again, _ = two.arrive("a", grow=200)
    assert again.standing == "inside"
    again.begin(two.workers[0])
    routers.talk()
    assert routers.agree()[1] == 3


def test_shared_beginnings_count_once_for_all_routers() -> None:
    routers = Routers(2)
    one, two = routers.all
    for each, name in ((one, "a"), (two, "b"), (one, "c")):
        turn = each.admission.arrive(MODEL, {"f": prompt_of(("shared", 40_960), (name, 1_024))})
        assert turn is not None
        turn.begin(each.workers[0])
        routers.talk()
    assert routers.agree() == (40_960 + 3 * (1_024 + 256), 3)


def test_a_turn_that_runs_elsewhere_makes_the_next_one_a_branch_until_its_answer_begins() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    turn = one.begin("a", grow=200)
    routers.talk()
    early, _ = two.arrive("a")
    assert early.standing == "branch"
    early.begin(two.workers[0])
    routers.talk()
    assert routers.agree()[1] == 2
    assert routers.agree()[0] < 32_000, "taken for two, they need little more memory than one"
    turn.answers(one.prompt("a"))
    routers.talk()
    assert two.arrive("a", grow=200)[0].standing == "inside"


def test_a_rotation_is_everybody_s() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "abc":
        one.run(name)
    two.now = one.now
    running = one.begin("a", grow=200)
    for name in "bc":
        one.begin(name)
    routers.talk()
    waiting, _ = two.arrive("d")
    two.admission.wait(waiting)
    routers.wait(59.0)
    two.admission.claim(waiting, two.workers)
    routers.talk()
    assert running.session is not None
    assert running.session.leaving, "the other router has asked for it"
    running.left(one.prompt("a"), True)
    routers.talk()
    assert two.places(waiting) == ["w0"]


def test_who_waits_and_what_is_claimed_is_everybody_s() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "abc":
        one.run(name)
    two.now = one.now
    running = one.begin("a")
    for name in "bc":
        one.begin(name)
    waiting, _ = one.arrive("d")
    assert one.places(waiting) == []
    one.admission.wait(waiting)
    routers.talk()
    demand = two.admission.demand(MODEL)
    assert (demand.waiting_elsewhere, demand.waiting_elsewhere_tokens) == (1, waiting.wanted.tokens)
    assert two.admission.round_s(MODEL, two.workers) == one.admission.round_s(MODEL, one.workers) > 0
    assert demand.crowded
    routers.wait(59.0)
    one.admission.claim(waiting, one.workers)
    running.left(one.prompt("a"), True)
    routers.talk()
    small, _ = two.arrive("e")
    assert two.places(small) == [], "the room that has come free is promised"
    waiting.begin(one.workers[0])
    routers.talk()
    assert (demand.waiting_elsewhere, demand.waiting_elsewhere_tokens) == (0, 0)
    assert not two.admission.sets[two.workers[0].holder].claims


def test_a_place_whose_lease_is_over_is_taken_for_given_away() -> None:
    routers = Routers(2)
    one, two = routers.all
    for name in "abc":
        one.run(name)
    routers.talk()
    routers.wait(30.0)
    assert one.places(one.arrive("d")[0]) == ["w0"], "the leases are over"
    late, _ = two.arrive("a")
    assert late.inside, "nobody has told it"
    two.book.recognise(late)
    assert not late.inside


def test_a_dead_router_s_turns_do_not_run_and_its_sessions_keep_their_leases() -> None:
    routers = Routers(3)
    one, two, three = routers.all
    one.run("a")
    one.begin("a", grow=200)
    one.begin("new")
    waiting, _ = one.arrive("w")
    one.admission.wait(waiting)
    routers.talk()
    retried, _ = two.arrive("a")
    assert retried.standing == "branch", "the turn that is lost still counts"
    for each in (two, three):
        each.now += LIFE_S + 1
        each.hear()
    two.tell(anyway=True)
    three.tell(anyway=True)
    for each in (two, three):
        each.hear()
        each.book.beat()
    two.book.recognise(retried)
    assert retried.inside, "it has its place again"
    for each in (two, three):
        (session,) = each.admission.sets[each.workers[0].holder].sessions
        assert session.running == 0
        assert session.kept_until > each.now
        assert each.admission.demand(MODEL).waiting_elsewhere == 0
    assert session.router == "r0"
    assert next(iter(two.admission.sets[two.workers[0].holder].sessions)).router == "", "it tells of it from now on"


def test_a_new_router_is_told_all_that_is_inside_and_what_was_used_last() -> None:
    routers = Routers(2)
    one, _ = routers.all
    for name in "ab":
        one.run(name)
    one.run("outside", ending=False)
    one.now += 0.01
    one.admission.end_leases()
    routers.talk()
    new = Told(9, routers.stream)
    new.lengths, new.read, new.book.asks = one.lengths, len(routers.stream), True
    routers.all.append(new)
    new.tell()
    new.book.asks = False
    for each in routers.all:
        each.hear()
        each.book.beat()
    routers.talk()
    assert routers.agree()[1] == 2
    assert new.arrive("outside")[0].standing == "returned"


def test_what_is_asked_again_at_once_is_told_once() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    routers.talk()
    for _ in range(3):
        two.book.asks = True
        two.tell()
        one.hear()
        one.book.beat()
    one.tell()
    assert not one.book.unsaid
    one.book.beat()
    assert not one.book.unsaid, "not before a second has passed"
    one.now += 1.0
    one.book.beat()
    assert one.book.unsaid


def test_of_a_session_whose_turn_runs_here_nobody_else_says_where_it_is() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    routers.talk()
    one.begin("a", grow=200)
    (session,) = two.admission.sets[two.workers[0].holder].sessions
    two.admission._leave(session)  # it made room there for another one, before it heard of the turn
    two.tell()
    one.hear()
    routers.talk()
    assert routers.agree()[1] == 1


def test_when_something_was_missed_the_others_sessions_are_outside_until_they_are_told_again() -> None:
    routers = Routers(2)
    one, two = routers.all
    one.run("a")
    one.begin("b")
    two.run("mine")
    routers.talk()
    two.book.lose()
    (mine,) = two.admission.sets[two.workers[0].holder].sessions
    assert mine.router == ""
    assert two.arrive("a")[0].standing == "returned", "it is remembered"
    one.book.tell_all()
    routers.talk()
    assert routers.agree()[1] == 3


def test_all_learn_from_all_pauses() -> None:
    routers = Routers(2)

    def whole(each: Told, name: str) -> None:
        turn = each.begin(name)
        routers.talk()
        routers.wait(0.2)
        turn.left(each.prompt(name), True)
        turn.learn(False, 100, None)
        routers.talk()
        routers.wait(0.5)

    for _ in range(60):
        for each in routers.all:
            whole(each, "a")
    for name in "bc":  # they do not return
        whole(routers.all[0], name)
    routers.wait(700.0)
    demands = [each.admission.demand(MODEL) for each in routers.all]
    for each, demand in zip(routers.all, demands, strict=True):
        demand.judge(each.workers, each.now, 100_000)
    assert demands[0].lease_s(Ending.ANSWER) == demands[1].lease_s(Ending.ANSWER) >= 0.5
    counts = [{ending: pauses.turns for ending, pauses in demand._pauses.items()} for demand in demands]
    assert counts[0] == counts[1]


def test_a_model_s_long_name_is_not_told_and_nonsense_is_refused() -> None:
    (one,) = Routers(1).all
    turn = one.admission.arrive("m" * 600, {"f": one.prompt("a")})
    assert turn is not None
    turn.begin(one.workers[0])
    assert one.book.write() is None
    with pytest.raises(BadBatchError):
        one.book.hear("x", b"\x00", 0.0)
    assert one.book.routers == 0


def test_alone_nothing_is_kept_to_be_told() -> None:
    (one,) = Routers(1).all
    book = FleetBook(one.admission, "alone")
    one.run("a")
    assert not book.unsaid
    assert book.refresh(one.arrive("b")[0]) is None


def test_sessions_of_a_draining_or_dead_worker_move_at_their_next_turn() -> None:
    routers = Routers(2, workers=2)
    one, two = routers.all
    for name in "abc":
        one.run(name)
    two.run("x", two.workers[1])
    routers.talk()
    for each in routers.all:
        each.fleet.drain(each.workers[0].id)
    left = [worker for worker in two.workers if worker.available()]
    assert left == [two.workers[1]]
    turn, _ = two.arrive("a", grow=200)
    assert turn.standing == "inside"
    assert two.admission.workers_for(turn, left) == left
    turn.begin(two.workers[1])
    routers.talk()
    assert routers.agree()[1] == 2, "the others stay until their next turns"
    for each in routers.all:
        each.fleet.remove(each.workers[0].id)
    for name in "bc":
        assert one.arrive(name)[0].standing == "returned", "none is forgotten"
