"""One case's column."""

from loadtests.drills.bad_workers import LAST_S, rows_of
from loadtests.harness.results import End, Result


def test_bad_ends_are_counted_and_late_ones_apart() -> None:
    seen = [
        Result(0.0, 0.2, 1.0, End.COMPLETE, 200, "a"),
        Result(1.0, 1.1, 3.5, End.ERROR_EVENT, 200, "b"),
        Result(LAST_S - 1, 0.0, LAST_S, End.FAILED, 500, "b"),
        Result(2.0, 2.1, 3.0, End.COMPLETE, 200, "a"),
    ]
    rows = dict(rows_of(seen, 0.0, [2], {"reset": 3.0}, {}))
    assert rows["not complete"] == "2 (50.0 %)"
    assert rows["... as clients saw it"] == "1 error event, 1 failed"
    assert rows["... sent in the second half"] == "1"
    assert rows["longest request"] == "2.5 s"
    assert rows["retries"] == "3"
