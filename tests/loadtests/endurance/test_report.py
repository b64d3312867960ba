"""Tables, and the machine's own load."""

import math

from loadtests.endurance.report import Table, Ticks, number


def test_a_table_is_markdown() -> None:
    lines = Table("Title", ("", "one", "two"), [("a", "1", "2")]).markdown().splitlines()
    assert lines == ["**Title**", "", "|  | one | two |", "|---|---:|---:|", "| a | 1 | 2 |"]


def test_numbers_carry_their_unit_and_nothing_is_a_dash() -> None:
    assert number(1234.5, "ms") == "1,234 ms"
    assert number(0.25, "", 2) == "0.25"
    assert number(None) == number(math.nan) == "-"


def test_ticks_tell_busy_and_stolen_shares() -> None:
    before = Ticks.parse("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1 1")
    after = Ticks.parse("cpu  140 5 5 940 5 0 0 5 0 0\n")
    assert after.since(before) == "cores 50 % busy, 5.0 % stolen"
