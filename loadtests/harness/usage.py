"""CPU and memory of a process tree, as the kernel counts them.

CPU time is user plus system time of all threads, living children, and children that have been waited for, in ticks of
10 ms: runs must be long enough for that.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Stat(tuple[int, int, float]):
    """Parent, resident pages and CPU milliseconds of one process (see proc_pid_stat(5))."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, *, reaped: bool) -> Self:
        """From the text of /proc/PID/stat; `reaped` adds the children that have been waited for."""
        fields = text.rpartition(")")[2].split()
        ticks = sum(map(int, fields[11:15] if reaped else fields[11:13]))
        return cls((int(fields[1]), int(fields[21]), ticks * _TICK_MS))


def _stats(root: int) -> dict[int, Stat]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = Stat.parse((folder / "stat").read_text(), reaped=int(folder.name) == root)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
    return found


def tree(root: int, parents: Mapping[int, int]) -> set[int]:
    """`root` and all its descendants, given each process's parent."""
    members = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in members} - members
        if not more:
            return members
        members |= more


class Usage:
    """CPU and memory of one process tree."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def read(self) -> tuple[float, float]:
        """CPU milliseconds since the start, and resident megabytes now."""
        stats = _stats(self._pid)
        members = tree(self._pid, {pid: stat[0] for pid, stat in stats.items()}) & stats.keys()
        return sum(stats[pid][2] for pid in members), sum(stats[pid][1] for pid in members) * _PAGE_BYTES / 1e6

    def cpu_ms(self) -> float:
        """CPU milliseconds since the start."""
        return self.read()[0]

    def idle_ms_per_s(self, seconds: float) -> float:
        """CPU that an idle router uses for probes, scrapes and timers."""
        before = self.cpu_ms()
        time.sleep(seconds)
        return (self.cpu_ms() - before) / seconds

    def settle(self, idle_ms_per_s: float, timeout_s: float = 120.0) -> float:
        """Wait until work left behind (a queue of prompts to encode) is done: CPU back at the idle rate.

        Returns the seconds that it took."""
        began = time.monotonic()
        give_up = began + timeout_s
        while time.monotonic() < give_up and self.idle_ms_per_s(0.5) > 1.5 * idle_ms_per_s + 2 * _TICK_MS:
            pass
        return time.monotonic() - began
