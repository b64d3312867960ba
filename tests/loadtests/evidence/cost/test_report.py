"""Medians, ratios and what is left empty in the table."""

import math

from loadtests.evidence.cost import report

_CASE = report.Case(8, 0, 0.0, 150)


def _run(arm: str, cpu_ms: float, encode_ms: float = 0.0, errors: int = 0) -> report.Measurement:
    return report.Measurement(
        case=_CASE,
        arm=arm,
        requests=1000,
        errors=errors,
        error="500 oops" if errors else "",
        per_second=1234.0,
        cpu_ms=cpu_ms,
        encode_ms=encode_ms,
        idle_ms_per_s=0.0,
        rss_mb=50.0,
        ttft_ms=(1.0, 2.0),
        overhead_ms=(math.nan, math.nan),
        stall_ms=math.nan,
    )


def _row(text: str, arm: str) -> list[str]:
    return next([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if f"| {arm} |" in line)


def test_the_ratio_is_of_medians_without_the_encoder() -> None:
    runs = [_run("sglang-router", cpu) for cpu in (0.4, 0.5, 9.0)] + [_run("warmroute", 1.25, 1.0) for _ in range(3)]
    text = report.table(runs)
    assert _row(text, "warmroute")[:5] == ["150 KB, 8 workers", "warmroute", "0.50", "0.250", "1.250"]
    assert _row(text, "sglang-router")[2:4] == ["1.00", "0.500"]


def test_what_an_arm_does_not_have_is_a_dash() -> None:
    row = _row(report.table([_run("direct", math.nan)]), "direct")
    assert row[2:5] == ["-", "-", "-"]


def test_errors_are_counted_and_told() -> None:
    runs = [_run("warmroute", 0.2, errors=2), _run("warmroute", 0.2)]
    text = report.document(runs, {"warmroute": "1"}, "the command", 2)
    assert _row(text, "warmroute")[-2:] == ["2000", "2"]
    assert "500 oops" in text
    assert "the command" in text


def test_titles_tell_cases_apart() -> None:
    cases = [_CASE, report.Case(1000, 0, 0.0, 150), report.Case(8, 32, 0.0, 16), report.Case(8, 32, 1.0, 16)]
    assert len({case.title for case in cases}) == len(cases)
