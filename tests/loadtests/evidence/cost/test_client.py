"""The order of turns."""

from loadtests.evidence.cost import bodies, client


def _workload(turns: list[int]) -> bodies.Workload:
    sessions = [bodies.Conversation(bytes([65 + number]) * 9, tuple(range(1, 1 + n))) for number, n in enumerate(turns)]
    return bodies.Workload(tuple(sessions), b"]}")


def _seen(turns: "list[client.Turn]") -> list[tuple[str, int]]:
    return [(chr(turn.messages[0]), len(turn.messages)) for turn in turns]


def test_first_turns_open_the_sessions_of_a_connection_and_no_other() -> None:
    assert _seen(list(client.first_turns(_workload([2, 2, 2]), [0, 2]))) == [("A", 1), ("C", 1)]


def test_later_turns_alternate_between_sessions_in_order() -> None:
    seen = _seen(list(client.later_turns(_workload([3, 1, 4]), [0, 1, 2])))
    assert seen == [("A", 2), ("C", 2), ("A", 3), ("C", 3), ("C", 4)]


def test_a_window_of_sessions_is_finished_before_the_next_begins() -> None:
    seen = _seen(list(client.later_turns(_workload([3] * 10), range(10))))
    assert [name for name, _ in seen] == [*"ABCDEFGH" * 2, *"IJ" * 2]
