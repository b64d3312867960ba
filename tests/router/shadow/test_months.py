"""What a month saved, by model and client, as CSV that a spreadsheet opens."""

import calendar
import csv
import io

import pytest

from router.shadow import months
from router.shadow.months import HEADER, REST, Months

NOVEMBER, DECEMBER = 1_795_910_400.0, 1_798_070_400.0


def rows(found: Months, price: float | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.table("served", price))))


def test_each_month_model_and_client_is_compared_with_what_was_served() -> None:
    now = [NOVEMBER]
    found = Months(lambda: now[0])
    for client, cached in (("a", 900), ("b", 100)):
        for _ in range(2):
            found.add(("m", client, "served"), 1000, cached, 3600.0)
            found.add(("m", client, "round_robin"), 1000, 50, 7200.0)
    now[0] = DECEMBER
    found.add(("m", "a", "served"), 1000, 1000, 0.0)
    told = rows(found, 2.5)
    assert [(row["month"], row["client"], row["policy"]) for row in told] == [
        ("2026-11", "a", "round_robin"),
        ("2026-11", "a", "served"),
        ("2026-11", "b", "round_robin"),
        ("2026-11", "b", "served"),
        ("2026-12", "a", "served"),
    ]
    assert list(told[0]) == list(HEADER)
    assert told[0] | {"month": ""} == {
        "month": "",
        "model": "m",
        "client": "a",
        "policy": "round_robin",
        "requests": "2",
        "prompt_tokens": "2000",
        "cached_tokens": "100",
        "prefill_worker_hours": "4.0000",
        "saved_worker_hours": "2.0000",
        "saved_money": "5.00",
    }
    assert (told[1]["saved_worker_hours"], told[1]["saved_money"]) == ("0.0000", "0.00")
    assert {row["saved_money"] for row in rows(found)} == {""}


def test_a_month_ends_with_its_last_second() -> None:
    now = [calendar.timegm((2026, 12, 31, 23, 59, 59, 0, 0, 0))]
    found = Months(lambda: now[0])
    for second in range(3):
        now[0] += second
        found.add(("m", "a", "served"), 10, 0, 1.0)
    assert [(row["month"], row["requests"]) for row in rows(found)] == [("2026-12", "1"), ("2027-01", "2")]
    assert found.since_start["m", "a", "served"].requests == 3


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOVEMBER]
    found = Months(lambda: now[0])
    monkeypatch.setattr(months, "MOST_ROWS", 4)
    for number in range(10):
        for policy in ("served", "round_robin"):
            found.add((f"m{number}", "c", policy), 10, 1, 1.0)
    told = rows(found)
    assert len(told) == 4 + 2
    assert [row["requests"] for row in told if row["model"] == REST] == ["8", "8"]
    for month in range(30):
        now[0] += 31 * 86400
        found.add(("m", "c", "served"), month, 0, 0.0)
    assert len({row["month"] for row in rows(found)}) == 24


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "  =1", 'a "quoted", name\r\nand a line'])
def test_a_name_is_no_formula_and_no_row(name: str) -> None:
    found = Months(lambda: NOVEMBER)
    found.add((name, name, "served"), 1, 0, 1.0)
    (row,) = rows(found)
    assert row["model"] == row["client"] == (f"'{name}" if name.strip()[0] in "=+-@" else name)


def test_no_cell_begins_behind_a_semicolon() -> None:
    found = Months(lambda: NOVEMBER)
    found.add(("m;=HYPERLINK(1)", "c", "served"), 1, 0, 1.0)
    assert ";" not in found.table("served", None)
