"""Options to cases and interpreters. (The runs themselves are the benchmark.)"""

import sys

from loadtests.evidence.cost import __main__ as command
from loadtests.evidence.cost.report import Case


def test_cases_are_sizes_then_streams_then_the_large_fleet() -> None:
    assert command.cases([16, 150], 32, 8, 1000) == [
        Case(8, 0, 0.0, 16),
        Case(8, 0, 0.0, 150),
        Case(8, 32, 0.0, 16),
        Case(8, 32, 1.0, 16),
        Case(1000, 0, 0.0, 150),
    ]
    assert command.cases([1], 0, 8, 0) == [Case(8, 0, 0.0, 1)]


def test_a_router_runs_on_its_own_interpreter_and_warmroute_on_ours() -> None:
    found = command.interpreters(["/a/python", "smg=/b/python"], ["warmroute", "sglang-router", "smg"])
    assert found == {"warmroute": sys.executable, "sglang-router": "/a/python", "smg": "/b/python"}


def test_there_are_enough_sessions_for_the_seconds_asked_for() -> None:
    short, long = (command.sessions_for(Case(8, 0, 0.0, 150), seconds, 100.0) for seconds in (1.0, 10.0))
    assert 64 <= short < long < 2000
