"""Accounting of processes."""

import os

from loadtests.harness.usage import Stat, Usage, tree

_STAT = "4242 (a (strange) name) S 17 4242 4242 0 -1 4194560 900 0 0 0 250 50 30 20 20 0 9 0 12345 999999 2048 1844674"


def test_a_stat_line_gives_parent_pages_and_cpu() -> None:
    tick_ms = 1000 / os.sysconf("SC_CLK_TCK")
    assert Stat.parse(_STAT, reaped=False) == (17, 2048, 300 * tick_ms)
    assert Stat.parse(_STAT, reaped=True) == (17, 2048, 350 * tick_ms)


def test_the_tree_holds_grandchildren_and_no_strangers() -> None:
    assert tree(1, {2: 1, 3: 2, 4: 9, 9: 8}) == {1, 2, 3}


def test_usage_counts_the_cpu_of_this_process() -> None:
    usage = Usage(os.getpid())
    before = usage.cpu_ms()
    while usage.cpu_ms() < before + 20:  # ends because this loop itself is counted
        pass
    assert usage.read()[1] > 1
