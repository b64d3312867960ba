"""The numbers of a log are what its lines say."""

import json

import pytest

from loadtests.evidence.check_predictions import Answered, answered, measured


def test_lines_without_a_report_are_left_out() -> None:
    rows: list[dict[str, object]] = [
        {"prompt_tokens": 1000, "predicted_cached_tokens": 640, "cached_tokens": 512},
        {"prompt_tokens": 1000, "cached_tokens": 0},
        {"prompt_tokens": 1000, "predicted_cached_tokens": 640, "cached_tokens": None},
        {"path": "/metrics"},
    ]
    lines = [*map(json.dumps, rows), "a line of the log"]
    assert answered(lines) == [Answered(1000, 640, 512), Answered(1000, 0, 0)]


def test_shares_of_right_and_cached_predictions_are_measured() -> None:
    found = measured([Answered(1000, 640, 512), Answered(1000, 0, 400), Answered(2000, 900, 0)], 128)
    assert found == pytest.approx((3, 912 / 4000, 1540 / 4000, 1 / 3, 1028 / 4000, 1428 / 4000))
