"""What a table is stamped with, and how busy the machine was."""

import re

from loadtests.harness.machine import Ticks, machine


def test_the_stamp_names_processor_python_and_commit() -> None:
    assert re.search(r"^\d+ x .*, Python 3\.\d+.*, commit [0-9a-f]{7,}", machine())


def test_ticks_tell_busy_and_stolen_shares() -> None:
    before = Ticks.parse("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1 1")
    after = Ticks.parse("cpu  140 5 5 940 5 0 0 5 0 0\n")
    assert after.since(before) == "cores 50 % busy, 5.0 % stolen"
