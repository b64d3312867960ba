"""When a session counts as busy, and how many of its turns run here."""

from types import SimpleNamespace

import pytest

from router.sessions.memory.session import AWAY_S, ID_BYTES, Ending, Session


def test_each_has_an_id_of_its_own_or_the_one_it_is_given() -> None:
    one, other = Session(), Session()
    assert one.id != other.id
    assert len(one.id) == ID_BYTES
    assert Session("m", b"8 bytes.").id == b"8 bytes."


def test_it_is_busy_while_a_turn_runs() -> None:
    session = Session()
    assert not session.busy(0.0)
    session.running = 1
    assert session.busy(2 * AWAY_S)


@pytest.mark.parametrize(
    ("ending", "relatives", "busy"),
    [(Ending.CALL, 1, True), (Ending.CALL, 0, False), (Ending.ANSWER, 1, False), (Ending.FIRST_ANSWER, 1, False)],
)
def test_it_waits_for_a_relative_only_behind_a_tool_call(ending: Ending, relatives: int, busy: bool) -> None:
    session = Session()
    session.family, session.ending = SimpleNamespace(runs=relatives), ending
    session.ended_at = 5.0
    assert session.busy(5.0) is busy
    assert session.busy(4.0 + AWAY_S) is busy
    assert not session.busy(5.0 + AWAY_S), "and not for ever"


def test_turns_through_other_routers_do_not_run_here() -> None:
    session = Session()
    session.running = 3
    assert session.runs_here == 3
    session.runs = {"r1": 1, "r2": 1}
    assert session.runs_here == 1
