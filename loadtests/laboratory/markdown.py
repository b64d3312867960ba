"""Tables in Markdown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """What was measured: one row per measure, one column per case."""

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
