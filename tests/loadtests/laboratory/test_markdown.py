"""Tables and numbers as text."""

import math

from loadtests.laboratory.markdown import Table, number


def test_a_table_is_markdown() -> None:
    lines = Table("Title", ("", "one", "two"), [("a", "1", "2")]).markdown().splitlines()
    assert lines == ["**Title**", "", "|  | one | two |", "|---|---:|---:|", "| a | 1 | 2 |"]


def test_numbers_carry_their_unit_and_nothing_is_a_dash() -> None:
    assert number(1234.5, "ms") == "1,234 ms"
    assert number(0.25, "", 2) == "0.25"
    assert number(None) == number(math.nan) == "-"
