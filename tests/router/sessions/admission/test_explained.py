"""What an operator is told of one turn."""

from router.sessions.admission.explained import room_explained, turn_explained
from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import prompt_of


def test_a_session_inside_and_where() -> None:
    site = Site(2)
    site.run("a", site.workers[1])
    turn, _ = site.arrive("a")
    said = turn_explained(site.admission, turn, site.workers)
    assert (said["standing"], said["worker"], said["turns"]) == ("inside", site.workers[1].id, 1)
    assert 30_000 < said["needs_tokens"] < 31_000
    assert (said["holds_back"], said["refused"], said["turns_waiting"]) == (True, False, 0)


def test_new_sessions_branches_and_those_that_return() -> None:
    site = Site()
    assert turn_explained(site.admission, site.arrive("a")[0], site.workers)["standing"] == "new"
    site.run("a")
    site.run("a", ending=False)
    site.now += 1.0
    site.places(site.arrive("x")[0])
    said = turn_explained(site.admission, site.arrive("a")[0], site.workers)
    assert (said["standing"], said["worker"], said["turns"]) == ("returned", None, 2)
    site.lengths["a"] += 500
    site.run("a")
    edited = site.admission.arrive("m", {"f": prompt_of(("a", 30_000), ("edited", 700))})
    assert edited is not None
    assert turn_explained(site.admission, edited, site.workers)["standing"] == "branch"


def test_room_and_whether_the_turn_fits() -> None:
    site = Site(2)
    for name in "abc":
        site.run(name)
    turn, _ = site.arrive("d")
    full, empty = (room_explained(site.admission, turn, worker) for worker in site.workers)
    assert full["session_room_tokens"] - full["session_tokens"] < turn.wanted.tokens
    assert not full["fits"]
    assert (empty["session_tokens"], empty["session_room_tokens"], empty["fits"]) == (0, 100_000, True)


def test_a_new_session_that_would_be_refused() -> None:
    site = Site(bound_s=5.0)
    for name in "abc":
        site.run(name)
    for number in range(3):
        site.admission.wait(site.arrive(f"x{number}")[0])
    said = turn_explained(site.admission, site.arrive("d")[0], site.workers)
    assert (said["refused"], said["turns_waiting"]) == (True, 3)
    assert said["room_is_made_after_s"] > 5.0
    assert said["lease_s"].keys() == {"first_answer", "answer", "call"}
