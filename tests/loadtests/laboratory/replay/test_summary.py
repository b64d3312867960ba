"""Figures over records."""

import math

import pytest

from loadtests.laboratory.replay.record import NAN, Decision, Record, Usage
from loadtests.laboratory.replay.report import as_json, markdown, row
from loadtests.laboratory.replay.summary import Slo, Times, summary


def record(ttft_s: float, cached: int = 50, error: str = "", reason: str = "") -> Record:
    decision = Decision("w", reason, 40) if reason else Decision()
    usage = Usage() if error else Usage(100, cached, 11)
    return Record("s", 0, 10.0, 10.0 + ttft_s, 12.0 + ttft_s, error, "why" * bool(error), usage, decision)


def test_percentiles_are_of_the_times_themselves() -> None:
    times = Times.of([*(n / 1000 for n in range(101)), NAN])
    assert (times.p50, times.p90, times.p99, times.max) == pytest.approx((0.05, 0.09, 0.099, 0.1))
    assert math.isnan(Times.of([]).p50)


def test_a_summary() -> None:
    records = [record(0.5, reason="cached"), record(1.5, -1), record(NAN, error="status 503")]
    found = summary(records, Slo(1.0))
    assert (found.requests, found.errors, found.examples) == (3, {"status 503": 1}, {"status 503": "why"})
    assert (found.hit_rate, found.reported, found.predicted) == (0.5, 0.5, 0.4)
    assert (found.ttft.p50, found.whole.max, found.per_token.p50) == pytest.approx((1.0, 3.5, 0.2))
    assert found.good == pytest.approx(1 / 3)
    assert (found.reasons, found.workers) == ({"cached": 1}, {"w": 1})


def test_a_session_lasts_from_its_first_request_to_its_last_end() -> None:
    first, second = record(1.0), record(2.0)._replace(asked_s=20.0, ended_s=25.0, turn=1)
    cut = record(NAN, error="cut off")._replace(session="t")
    found = summary([second, first, cut, cut._replace(error="")], Slo())
    assert found.session == Times(15.0, 15.0, 15.0, 15.0, 15.0), "one whole session, and one with an error"
    assert found.rate == pytest.approx(3 / 15)
    assert summary([first, record(2.0)], Slo()).ttft.mean == pytest.approx(1.5)


def test_an_answer_is_good_when_it_meets_all_that_is_asked() -> None:
    assert Slo(1.0).met_by(record(1.0))
    assert not Slo(1.0).met_by(record(1.1))
    assert not Slo(1.0, whole_s=2.5).met_by(record(0.9))
    assert not Slo(1.0).met_by(record(0.5, error="cut off"))


def test_reports_have_no_nan_and_name_errors() -> None:
    records = [record(NAN, error="status 503")]
    found = summary(records, Slo())
    text = markdown("title", found, Slo(), {})
    assert "status 503" in text and "nan" not in text
    figures = as_json(found, Slo(), {})
    assert figures["hit_rate"] is None and figures["ttft"]["p50"] is None and figures["slo"]["whole_s"] is None
    assert row(records[0])["first_s"] is None
