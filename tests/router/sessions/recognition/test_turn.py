"""Whose turn a request is, and that all that becomes of it is told to the account that made it."""

from typing import Any

import pytest

from router.sessions.memory.session import Session
from router.sessions.memory.working_set import WorkingSet
from router.sessions.recognition.book import Found
from router.sessions.recognition.turn import Turn
from tests.router.fleets import MODEL, make_worker
from tests.router.sessions.chains import prompt_of

PROMPT = prompt_of(("a", 3000))


class Account:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begin(self, *said: Any) -> None:
        self.told.append(("begin", *said))

    def answers(self, *said: Any) -> None:
        self.told.append(("answers", *said))

    def left(self, *said: Any) -> None:
        self.told.append(("left", *said))

    def learn(self, *said: Any) -> None:
        self.told.append(("learn", *said))


def inside() -> Session:
    session = Session(MODEL)
    WorkingSet("h").enter(session, 0.0)
    return session


@pytest.mark.parametrize(
    ("found", "family", "standing", "known"),
    [
        (Found(None, None), None, "new", False),
        (Found(None, Session()), None, "branch", True),
        (Found(None, None), "relatives", "branch", True),
        (Found(Session(), None), None, "returned", True),
        (Found(inside(), None), None, "inside", True),
        (Found(inside(), None), "relatives", "inside", True),
    ],
)
def test_its_standing_follows_from_what_was_found(found: Found, family: Any, standing: str, known: bool) -> None:
    turn = Turn(Account(), MODEL, PROMPT, 1.0)
    assert (turn.standing, turn.known, turn.inside) == ("new", False, False)
    turn.found(found, family)
    assert (turn.standing, turn.known, turn.inside) == (standing, known, standing == "inside")


def test_a_session_that_lost_its_place_meanwhile_is_not_inside() -> None:
    session = inside()
    turn = Turn(Account(), MODEL, PROMPT, 1.0)
    turn.found(Found(session, None), None)
    session.place.leave(session)
    assert not turn.inside
    assert turn.standing == "inside"  # as it was when that was looked for


def test_the_desk_is_told_all_of_it() -> None:
    account, worker = Account(), make_worker()
    turn = Turn(account, MODEL, PROMPT, 1.0)
    turn.begin(worker)
    turn.answers(PROMPT)
    turn.left(PROMPT, True)
    turn.left(None, False, gone=True)
    turn.learn(True, 7, None)
    assert account.told == [
        ("begin", turn, worker),
        ("answers", turn, PROMPT),
        ("left", turn, PROMPT, True, False),
        ("left", turn, None, False, True),
        ("learn", turn, True, 7, None),
    ]
