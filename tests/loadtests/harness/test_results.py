"""How an answer's end is told from what came of it."""

import math

import pytest

from loadtests.harness.results import End, Result, count, end_of, ends, quantile, returned_at, ttft_ms

DONE = b'data: {"choices":[]}\n\ndata: [DONE]\n\n'
BROKEN = b'data: {"choices":[]}\n\ndata: {"error":{"message":"gone"}}\n\ndata: [DONE]\n\n'


def result(
    started: float = 0, first: float = 1, ended: float = 2, end: End = End.COMPLETE, worker: str = "a"
) -> Result:
    return Result(started, first, ended, end, 200 if first else 502, worker)


@pytest.mark.parametrize(
    ("status", "begun", "tail", "complete", "expected"),
    [
        (200, True, DONE, True, End.COMPLETE),
        (200, True, BROKEN, True, End.ERROR_EVENT),
        (200, True, b"data: {}\n\n", True, End.SILENT),
        (200, True, DONE, False, End.SILENT),
        (200, True, BROKEN, False, End.SILENT),
        (502, True, b"{}", True, End.FAILED),
        (0, False, b"", False, End.FAILED),
    ],
)
def test_only_a_whole_answer_with_its_last_event_is_complete(
    status: int, begun: bool, tail: bytes, complete: bool, expected: End
) -> None:
    assert end_of(status, begun, tail, complete) is expected


def test_ends_are_counted_by_kind() -> None:
    seen = [result(), result(end=End.HUNG), result()]
    assert count(seen, End.COMPLETE) == 2
    assert count(seen, End.HUNG, End.SILENT) == 1
    assert ends(seen) == "2 complete, 1 hung"
    assert ends([]) == "none"


def test_a_request_waits_until_its_first_byte_and_lives_until_its_end() -> None:
    one = result(started=1, first=2, ended=3)
    assert [one.waits_at(moment) for moment in (0.5, 1.5, 2.5)] == [False, True, False]
    assert [one.lives_at(moment) for moment in (0.5, 1.5, 2.5, 3.5)] == [False, True, True, False]
    assert result(started=1, first=0, ended=3).waits_at(2.5)


def test_failed_requests_have_no_time_to_first_token() -> None:
    assert ttft_ms([result(first=0.25), result(first=0, end=End.FAILED)], 0.99) == 250


def test_a_worker_is_back_when_it_answers_a_later_request() -> None:
    seen = [result(started=1), result(started=7), result(started=5), result(started=3, worker="b")]
    assert returned_at(seen, "a", since=2) == 5
    assert returned_at(seen, "b", since=4) is None


def test_quantiles_are_nearest_rank() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([float(n) for n in range(1, 101)], 0.99) == 99.0
    assert quantile([5.0], 0.99) == 5.0
    assert math.isnan(quantile([], 0.5))
