"""Tables in markdown, and how quiet the machine was while they were measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    """What one drill measured: one row per measure, one column per case."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """Title, then the table."""
        lines = [f"**{self.title}**", "", _line(self.header), "|---|" + "---:|" * (len(self.header) - 1)]
        return "\n".join(lines + [_line(row) for row in self.rows])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """`12 ms`; `-` for nothing."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:,.{digits}f}{f' {unit}' if unit else ''}"


@dataclass(frozen=True, slots=True)
class Ticks:
    """CPU time of the whole machine since it was started, in ticks of all cores."""

    busy: int
    stolen: int
    """Given to other virtual machines while this one wanted to run."""
    all: int

    @classmethod
    def parse(cls, text: str) -> "Ticks":
        """From the first line of /proc/stat (proc_stat(5))."""
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, text.split("\n", 1)[0].split()[1:9])
        busy = user + nice + system + irq + softirq
        return cls(busy, steal, busy + idle + iowait + steal)

    @classmethod
    def now(cls) -> "Ticks":
        """Zeros where there is no /proc."""
        path = Path("/proc/stat")
        return cls.parse(path.read_text()) if path.exists() else cls(0, 0, 0)

    def since(self, before: "Ticks") -> str:
        """`cores 63 % busy, 0.1 % stolen`."""
        spent = max(1, self.all - before.all)
        busy, stolen = 100 * (self.busy - before.busy) / spent, 100 * (self.stolen - before.stolen) / spent
        return f"cores {busy:.0f} % busy, {stolen:.1f} % stolen"
