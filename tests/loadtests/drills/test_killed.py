"""Who is counted as what when a worker died."""

from loadtests.drills.killed import RouterFigures, Times, table
from loadtests.harness.results import End, Result


def test_streams_of_the_killed_worker_are_told_from_all_others() -> None:
    seen = [
        Result(1.0, 2.0, 10.1, End.ERROR_EVENT, 200, "dead"),
        Result(1.0, 2.0, 5.0, End.COMPLETE, 200, "dead"),
        Result(9.0, 11.0, 15.0, End.COMPLETE, 200, "well"),
        Result(25.0, 26.0, 30.0, End.COMPLETE, 200, "dead"),
    ]
    measured = table(seen, Times(10.0, 21.0, 22.0), "dead", RouterFigures({"reset": 1.0}, 1.0, {}))
    rows = {row[0]: row[1] for row in measured.rows}
    assert rows["streams begun on the killed worker"] == "1: 1 error event"
    assert rows["all other requests"] == "3: 3 complete"
    assert rows["waiting for a first byte at the kill, on any worker"] == "1"
    assert rows["... of these got none"] == "0"
    assert rows["seen healthy after its new process answered"] == "1.0 s"
    assert rows["first request answered by it was sent"] == "4.0 s"
