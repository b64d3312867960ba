"""A client that hangs up and sends the same turn again finds the memory that it had."""

import pytest

from router.sessions.recognition.turn import RETURN_S
from tests.router.fleets import MODEL
from tests.router.sessions.admission.test_admission import Site
from tests.router.sessions.chains import prompt_of


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("turns", [0, 1])
def test_memory_is_kept_for_a_while_after_a_hang_up(answered: bool, turns: int) -> None:
    site = Site()
    for _ in range(turns):
        site.run("a")
    turn, prompt = site.arrive("a", grow=200)
    turn.begin(site.workers[0])
    turn.left(prompt, answered, gone=True)
    site.run("b")
    site.run("c")
    site.now += RETURN_S / 2
    again, _ = site.arrive("a")
    assert again.session is turn.session
    assert again.inside
    assert site.places(again) == ["w0"]
    site.now += RETURN_S
    assert site.places(site.arrive("d")[0]) == ["w0"], "nobody came back"


def test_a_failed_turn_keeps_nothing_but_what_its_session_had() -> None:
    site = Site()
    turn, prompt = site.arrive("a")
    turn.begin(site.workers[0])
    turn.left(prompt, False)
    assert site.arrive("a")[0].standing == "new"


def test_a_first_prompt_of_which_nothing_is_known_keeps_nothing() -> None:
    site = Site()
    unknown = prompt_of(("a", 30_000), known=0)
    turn = site.admission.arrive(MODEL, {"f": unknown})
    assert turn is not None
    turn.begin(site.workers[0])
    turn.left(unknown, False, gone=True)
    assert (site.tokens(), len(site.admission.book)) == (0, 0)


def test_memory_that_is_kept_for_a_client_that_hung_up_makes_room_for_those_that_wait() -> None:
    site = Site()
    gone, prompt = site.arrive("a")
    gone.begin(site.workers[0])
    site.now += 10.0
    gone.left(prompt, False, gone=True)
    for name in "bc":
        site.arrive(name)[0].begin(site.workers[0])
    waiting, _ = site.arrive("d")
    site.admission.wait(waiting)
    waiting.arrived_at -= 1000.0
    site.admission.claim(waiting, site.workers)
    assert gone.session is not None
    assert gone.session.place is None
    assert site.places(waiting) == ["w0"]
