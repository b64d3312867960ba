"""The panels drawn from real results as one HTML page, laid out as Grafana would: to look at units, legends, sizes.

No more than a preview: SVG lines and numbers, without Grafana's zoom, hover or themes.
"""

import html
import re
from collections.abc import Sequence

from loadtests.dashboard.check import Found
from loadtests.dashboard.panels import Panel
from loadtests.dashboard.prometheus import Series

WIDTH, HEIGHT = 1560, 30
"""Of a page, and of one of Grafana's grid lines, in pixels."""
COLORS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a")
STYLE = """body{background:#111217;color:#ccccdc;font:13px sans-serif;width:1590px;margin:12px}
h2{font-size:15px;margin:16px 0 6px;border-bottom:1px solid #333}section{display:flex;flex-wrap:wrap;gap:6px}
div.p{background:#181b1f;border:1px solid #2c2f33;padding:6px;box-sizing:border-box;overflow:hidden}
h3{font-size:13px;margin:0 0 2px;font-weight:500}big{font-size:38px;color:#73bf69;display:block;text-align:center}
p{margin:2px 0;font-size:11px;line-height:14px}text{fill:#8e8e99;font-size:10px}"""


def page(found: Sequence[Found]) -> str:
    """The whole dashboard."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Warmroute</title><style>{STYLE}</style>"]
    for row in dict.fromkeys(one.row for one in found):
        parts.append(f"<h2>{html.escape(row)}</h2><section>")
        of_row = [one for one in found if one.row == row]
        for panel in dict.fromkeys(one.panel for one in of_row):
            parts.append(_panel(panel, [one for one in of_row if one.panel == panel]))
        parts.append("</section>")
    return "".join(parts)


def _panel(panel: Panel, found: Sequence[Found]) -> str:
    width, height = WIDTH * panel.width // 24 - 2, HEIGHT * panel.height
    lines = [(_legend(one.query.legend, series), series) for one in found for series in one.series]
    if not lines:
        body = "no data"
    elif panel.kind == "stat":
        body = f"<big>{_text(lines[0][1].points[-1][1], panel.unit)}</big>"
    else:
        body = _chart(panel, lines, width - 14, height - 66)
    return f'<div class=p style="width:{width}px;height:{height}px"><h3>{html.escape(panel.title)}</h3>{body}</div>'


def _chart(panel: Panel, lines: Sequence[tuple[str, Series]], width: int, height: int) -> str:
    if panel.stacked:
        lines = _stacked(lines)
    times = [t for _, series in lines for t, _ in series.points]
    start, span = min(times), max(max(times) - min(times), 1.0)
    most = panel.most or max((v for _, series in lines for _, v in series.points), default=0) or 1.0
    shapes = []
    for number, (_, series) in enumerate(lines):
        places = " ".join(
            f"{56 + (t - start) / span * (width - 60):.1f},{height - 8 - min(v / most, 1.05) * (height - 20):.1f}"
            for t, v in series.points
        )
        shapes.append(f'<polyline fill=none stroke="{COLORS[number % len(COLORS)]}" points="{places}"/>')
    for part in (0, 0.5, 1):
        y = height - 8 - part * (height - 20)
        shapes.append(
            f'<path stroke=#2c2f33 d="M56 {y}H{width}"/><text x=0 y={y + 3}>{_text(part * most, panel.unit)}</text>'
        )
    names = "&ensp;".join(
        f'<span style="color:{COLORS[number % len(COLORS)]}">&#9644;</span> {html.escape(name)}'
        for number, (name, _) in enumerate(lines)
    )
    return f"<svg width={width} height={height}>{''.join(shapes)}</svg><p>{names}</p>"


def _stacked(lines: Sequence[tuple[str, Series]]) -> list[tuple[str, Series]]:
    below: dict[float, float] = {}
    stacked = []
    for name, series in lines:
        for t, v in series.points:
            below[t] = below.get(t, 0.0) + v
        stacked.append((name, Series(series.labels, [(t, below[t]) for t, _ in series.points])))
    return stacked


def _legend(template: str, series: Series) -> str:
    return re.sub(r"{{(\w+)}}", lambda match: series.labels.get(match[1], ""), template)


def _text(value: float, unit: str) -> str:
    """Near to what Grafana makes of its units."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return (
            f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
        )
    steps = {"bytes": ("B", 1024), "Bps": ("B/s", 1000)}.get(unit, ("", 1000))
    for prefix in ("", "k", "M", "G"):
        if abs(value) < steps[1] or prefix == "G":
            break
        value /= steps[1]
    return f"{value:.3g} {prefix}{steps[0]}" + (
        " req/s" if unit == "reqps" else unit[3:] if unit.startswith("si:") else ""
    )
