"""What a panel is, and the few words that its queries share.

Every selector carries the dashboard's variables, so that one choice at the top holds for all panels.
"""

from dataclasses import dataclass

ROUTER = 'instance=~"$router"'
"""Of one router."""
WORKER = f'{ROUTER},worker=~"$worker"'
"""Of one worker, as each router sees it."""
MODEL = f'{ROUTER},model=~"$model"'
STEP = "$__rate_interval"
"""Grafana's: four scrapes at least, and never shorter than a pixel."""
FAILED = 'outcome=~"no_worker|worker_failed|worker_died|silence_timeout|router_error|shutdown|status_5xx"'
"""Outcomes that the client sees as a failure of the service; not its own errors, and not its leaving."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and what its lines are called."""

    expr: str
    legend: str = ""
    """Grafana's: `{{label}}` stands for a label's value."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    help: str
    """What it says and what to do when it moves; Grafana shows it beside the title."""
    queries: tuple[Query, ...]
    unit: str = "short"
    """Grafana's name of it: `s`, `percentunit`, `reqps`, `bytes`, ..."""
    kind: str = "timeseries"
    """`timeseries` or `stat`."""
    width: int = 8
    """Of 24."""
    height: int = 8
    stacked: bool = False
    least: float | None = 0.0
    """Lower end of the axis; None, as low as the values."""
    most: float | None = None
    """Upper end of the axis; unset, as high as the values."""
    warn_above: float | None = None
    """Stat: orange from here on."""
    warn_below: float | None = None
    """Stat: orange below this."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one headline."""

    title: str
    panels: tuple[Panel, ...]
    folded: bool = False
    """Closed until it is clicked: its queries then cost nothing."""


def per_second(metric: str, selector: str, by: str = "") -> str:
    """The rate of a counter, summed over routers."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{selector}}}[{STEP}]))"


def quantile(q: float, metric: str, selector: str, by: str = "") -> str:
    """A quantile of a histogram over all routers."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{selector}}}[{STEP}])))"


def quantiles(metric: str, selector: str, *wanted: float) -> tuple[Query, ...]:
    """Several quantiles in one picture."""
    return tuple(Query(quantile(q, metric, selector), f"p{q * 100:g}") for q in wanted)
