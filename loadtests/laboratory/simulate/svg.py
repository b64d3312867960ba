"""Four kinds of plots, as SVG text that needs nothing else: ranges of percentiles, bars, curves, and fronts.

Colours come from CSS classes of the page (`c0`, `c1`, ...), one per arm, the same in every plot.
"""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 760
LABELS = 190
"""Room for the arms' names."""
RIGHT = 70
ROW = 30
TOP = 14
BOTTOM = 34


class Mark(NamedTuple):
    """A value with its interval (NaN: none), and how it is called."""

    name: str
    value: float
    low: float
    high: float


class Axis(NamedTuple):
    """Values to places; logarithmic where `log`."""

    low: float
    high: float
    left: float
    right: float
    log: bool

    def at(self, value: float) -> float:
        scale = math.log10 if self.log else float
        low, high = scale(self.low), scale(self.high)
        inside = min(max(value, self.low), self.high)
        return self.left + (scale(inside) - low) / (high - low) * (self.right - self.left)

    def ticks(self) -> list[float]:
        if not self.log:
            step = (self.high - self.low) / 5
            return [self.low + step * n for n in range(6)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return [v for p in powers for m in (1, 2, 5) if self.low <= (v := m * 10.0**p) <= self.high]


def ranges(rows: Sequence[tuple[str, Sequence[Mark]]], unit: str) -> str:
    """A row per arm, its marks on a logarithmic axis."""
    values = [m.value for _, marks in rows for m in marks if m.value > 0]
    axis = _log_axis(values, LABELS, WIDTH - RIGHT)
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [_grid(axis, height, unit)]
    for index, (name, marks) in enumerate(rows):
        y = TOP + ROW * index + ROW / 2
        parts.append(_label(name, y))
        places = [axis.at(mark.value) for mark in marks if mark.value > 0]
        if places:
            line = f'<line class="c{index} stem" x1="{min(places):.1f}" x2="{max(places):.1f}" y1="{y}" y2="{y}"/>'
            parts.append(line)
        for size, mark in zip((6, 5, 4), marks, strict=False):
            if mark.value > 0:
                parts.append(_dot(axis, mark, y, size, index))
    return _svg(height, parts)


def bars(rows: Sequence[tuple[str, Mark, float]], unit: str) -> str:
    """A row per arm: (name, value, limit), in percent; the limit is a tick across the bar."""
    axis = Axis(0.0, 100.0, LABELS, WIDTH - RIGHT, False)
    height = TOP + ROW * len(rows) + BOTTOM
    parts = [_grid(axis, height, unit)]
    for index, (name, mark, limit) in enumerate(rows):
        y = TOP + ROW * index
        end = axis.at(mark.value)
        title = f"<title>{escape(name)}: {mark.value:.1f}, ideal {limit:.1f}</title>"
        size = f'x="{LABELS}" y="{y + 6}" width="{end - LABELS:.1f}" height="{ROW - 12}"'
        parts.append(_label(name, y + ROW / 2))
        parts.append(f'<rect class="c{index} bar" {size}>{title}</rect>')
        x = axis.at(limit)
        parts.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2}" y2="{y + ROW - 2}"/>')
        parts.append(f'<text class="value" x="{WIDTH - RIGHT + 8}" y="{y + ROW / 2 + 4}">{mark.value:.1f}</text>')
    return _svg(height, parts)


def curves(rows: Sequence[tuple[str, Sequence[tuple[float, float]]]], unit: str) -> str:
    """A line per arm: (value, percent) points, rising, on a logarithmic axis."""
    height, left = 300, 60
    axis = _log_axis([x for _, points in rows for x, _ in points if x > 0], left, WIDTH - RIGHT)
    upright = Axis(0.0, 100.0, height - BOTTOM, TOP, False)
    parts = [_grid(axis, height, unit)]
    for share in (0, 25, 50, 75, 90, 100):
        y = upright.at(share)
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share} %</text>')
    for index, (name, points) in enumerate(rows):
        path = " ".join(f"{axis.at(x):.1f},{upright.at(y):.1f}" for x, y in points if x > 0)
        parts.append(f'<polyline class="c{index} curve" points="{path}"><title>{escape(name)}</title></polyline>')
    return _svg(height, parts)


class Point(NamedTuple):
    """One place of a front, and how it is called."""

    name: str
    x: float
    y: float


def fronts(rows: Sequence[tuple[str, Sequence[Point]]], units: tuple[str, str]) -> str:
    """A line per row through its points, each with its name, on axes that begin at 0. `units`:
    of x and of y."""
    height, left = 380, 60
    points = [point for _, row in rows for point in row]
    axis = Axis(0.0, _five_steps([point.x for point in points]), left, WIDTH - RIGHT, False)
    upright = Axis(0.0, _five_steps([point.y for point in points]), height - BOTTOM, TOP, False)
    parts = [_grid(axis, height, units[0])]
    for tick in upright.ticks():
        y = upright.at(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.2g}</text>')
    parts.append(f'<text class="tick" x="{left}" y="{TOP}">{escape(units[1])}</text>')
    for index, (name, row) in enumerate(rows):
        parts += _front(name, [(axis.at(point.x), upright.at(point.y), point) for point in row], index)
        key_x, key_y = left + 14 + 330 * index, height - BOTTOM - 14
        parts.append(f'<circle class="c{index} dot" cx="{key_x}" cy="{key_y}" r="4"/>')
        parts.append(f'<text class="name" x="{key_x + 9}" y="{key_y + 4}">{escape(name)}</text>')
    return _svg(height, parts)


def _five_steps(values: Sequence[float]) -> float:
    """Five times the least of 1, 2 and 5, times a power of ten, that is above all values."""
    most = max(values, default=1.0) / 5
    power = 10.0 ** math.floor(math.log10(most))
    return 5 * power * next(step for step in (1, 2, 5, 10) if step * power > most)


def _front(name: str, places: Sequence[tuple[float, float, Point]], index: int) -> Iterator[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    yield f'<polyline class="c{index} curve" points="{path}"><title>{escape(name)}</title></polyline>'
    for x, y, point in places:
        title = f"<title>{escape(point.name)}: {point.x:.3g}, {point.y:.3g}</title>"
        yield f'<circle class="c{index} dot" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>'
        yield f'<text class="tick" x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{escape(point.name)}</text>'


def _log_axis(values: Sequence[float], left: float, right: float) -> Axis:
    low, high = (min(values), max(values)) if values else (0.1, 1.0)
    return Axis(low / 1.3, max(high * 1.3, low * 2), left, right, True)


def _grid(axis: Axis, height: float, unit: str) -> str:
    bottom = height - BOTTOM
    parts, last = [], -math.inf
    for tick in axis.ticks():
        x = axis.at(tick)
        if x - last < 34:
            continue
        last = x
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text class="tick" x="{WIDTH - RIGHT + 24}" y="{bottom + 16}">{escape(unit)}</text>')
    return "".join(parts)


def _label(name: str, y: float) -> str:
    return f'<text class="name" x="{LABELS - 12}" y="{y + 4}" text-anchor="end">{escape(name[-28:])}</text>'


def _dot(axis: Axis, mark: Mark, y: float, size: int, index: int) -> str:
    title = f"<title>{escape(mark.name)}: {mark.value:.3g}</title>"
    dot = f'<circle class="c{index} dot" cx="{axis.at(mark.value):.1f}" cy="{y}" r="{size}">{title}</circle>'
    if mark.low != mark.low:
        return dot
    low, high = axis.at(max(mark.low, axis.low)), axis.at(mark.high)
    return f'<line class="c{index} spread" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>{dot}'


def _svg(height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'
