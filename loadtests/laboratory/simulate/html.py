"""A report as one HTML file that loads nothing: tables and plots of comparisons."""

from collections.abc import Sequence
from html import escape

from loadtests.laboratory.markdown import Table
from loadtests.laboratory.simulate import svg, tables
from loadtests.laboratory.simulate.compare import Comparison
from loadtests.laboratory.simulate.outcomes import CURVE, Summary
from loadtests.laboratory.simulate.statistics import interval

COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#dc2626", "#0891b2", "#a16207", "#db2777", "#4b5563", "#65a30d")
STYLE = """
:root{--ink:#1f2937;--soft:#6b7280;--line:#e5e7eb;--page:#ffffff}
@media(prefers-color-scheme:dark){:root{--ink:#e5e7eb;--soft:#9ca3af;--line:#374151;--page:#111827}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1180px;margin:2rem auto;
padding:0 1.2rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin:1.6rem 0 .3rem}
p.facts,p.note{color:var(--soft);max-width:46rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.82rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
svg{width:100%;max-width:760px;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .tick{fill:var(--soft);font-size:11px}
.grid{stroke:var(--line)}.limit{stroke:var(--ink);stroke-width:2}.stem{stroke-width:2;opacity:.35}
.spread{stroke-width:5;opacity:.3}.curve{fill:none;stroke-width:2}.bar{opacity:.85}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.85rem}
.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.4rem;vertical-align:-1px}
"""


def page(comparisons: Sequence[Comparison], title: str = "Policies compared") -> str:
    """The whole file."""
    colours = "".join(
        f"line.c{n},polyline.c{n}{{stroke:{c}}}rect.c{n},circle.c{n}{{fill:{c}}}.key .c{n}{{background:{c}}}"
        for n, c in enumerate(COLOURS)
    )
    body = "".join(map(_section, comparisons))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{colours}</style></head><body><h1>{escape(title)}</h1>"
        "<p class=note>Simulated: the serving policies in front of a model of the engines, under a virtual clock. "
        "Times are those of the modelled hardware. Intervals are 95 %, over seeds that are the same for all arms.</p>"
        f"{body}</body></html>\n"
    )


def _section(comparison: Comparison) -> str:
    arms = list(comparison.results)
    parts = [
        f"<h2>{escape(comparison.scenario.name)}</h2>",
        f"<p class=facts>{escape(tables.described(comparison).replace('`', ''))}.</p>",
        _key(arms),
        "<h3>Time to first token: p50, p90 and p99</h3>",
        svg.ranges([(arm, _ttft_marks(runs)) for arm, runs in comparison.results.items()], "s"),
        "<h3>Share of requests that began within</h3>",
        svg.curves([(arm, _curve(runs)) for arm, runs in comparison.results.items()], "s"),
        "<h3>Prompt tokens found in cache; the tick is what an infinite cache would find</h3>",
        svg.bars([_hit_bar(arm, runs) for arm, runs in comparison.results.items()], "%"),
        "<h3>Figures</h3>",
        _table(tables.results(comparison)),
    ]
    if len(arms) > 1:
        ratios = tables.ratios(comparison, arms[0])
        parts += [f"<h3>{escape(ratios.title)}</h3>", _table(ratios)]
    return "".join(parts)


def _key(arms: Sequence[str]) -> str:
    spans = (f'<span><i class="c{n % len(COLOURS)}"></i>{escape(arm)}</span>' for n, arm in enumerate(arms))
    return f'<p class="key">{"".join(spans)}</p>'


def _ttft_marks(runs: Sequence[Summary]) -> list[svg.Mark]:
    values = {"p50": [s.ttft_p50 for s in runs], "p90": [s.ttft_p90 for s in runs], "p99": [s.ttft_p99 for s in runs]}
    return [svg.Mark(name, *interval(times)) for name, times in values.items()]


def _curve(runs: Sequence[Summary]) -> list[tuple[float, float]]:
    """The mean of the seeds' curves, percentile by percentile."""
    return [(sum(run.ttft_curve[index] for run in runs) / len(runs), float(share)) for index, share in enumerate(CURVE)]


def _hit_bar(arm: str, runs: Sequence[Summary]) -> tuple[str, svg.Mark, float]:
    hits = interval([100 * run.hit for run in runs])
    return arm, svg.Mark("hit rate", *hits), interval([100 * run.ideal_hit for run in runs]).mean


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
