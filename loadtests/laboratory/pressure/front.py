"""The front over the bound as a picture of its own: turns per second against the longest wait, a line per cell."""

import math
from collections.abc import Sequence
from statistics import fmean

from loadtests.laboratory.pressure.cell import Cell
from loadtests.laboratory.pressure.figures import Figures
from loadtests.laboratory.pressure.tables import Runs
from loadtests.laboratory.simulate import svg
from loadtests.laboratory.simulate.html import COLOURS

STYLE = """text{font:12px system-ui,sans-serif;fill:#1f2937}.tick{fill:#6b7280;font-size:11px}.grid{stroke:#e5e7eb}
.curve{fill:none;stroke-width:2}"""


def picture(drawn: Sequence[tuple[Cell, Runs]]) -> str:
    """One SVG file: means over the seeds, a point per arm. Arms that refused a turn have no longest wait: they are
    named, and not drawn."""
    rows = [(_name(cell, found), _points(found)) for cell, found in drawn]
    colours = "".join(
        f"polyline.c{n}{{stroke:{colour}}}circle.c{n}{{fill:{colour}}}" for n, colour in enumerate(COLOURS)
    )
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    body = svg.fronts(rows, ("s", "turns/s"))
    head, rest = body.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}{colours}</style>{background}{rest}\n'


def _name(cell: Cell, found: Runs) -> str:
    refused = ", ".join(f"{arm:g}" for arm, runs in found.items() if not _finite(runs))
    return cell.name + (f"; turns refused at {refused} s" if refused else "")


def _points(found: Runs) -> list[svg.Point]:
    return [_point(arm, runs) for arm, runs in found.items() if _finite(runs)]


def _finite(runs: Sequence[Figures]) -> bool:
    return all(math.isfinite(run.longest_s) for run in runs)


def _point(arm: float, runs: Sequence[Figures]) -> svg.Point:
    return svg.Point(
        f"{arm:g} s" if arm else "none", fmean(run.longest_s for run in runs), fmean(run.turns_s for run in runs)
    )
