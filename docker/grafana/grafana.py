"""From rows to Grafana's dashboard JSON (schema 39, Grafana 11 and newer).

Equal rows give equal bytes: panel ids and places follow from the order, so that a change shows as what it is.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from docker.grafana.insides import INDEX, PROCESS, TOKENS
from docker.grafana.panels import ROUTER, Panel, Row
from docker.grafana.running import DECISIONS, FAILURES, WORKERS
from docker.grafana.sessions import SESSIONS
from docker.grafana.sharing import CLIENTS, DISCOVERY, REDIS
from docker.grafana.worth import LATENCY, WORTH

ROWS = (WORTH, FAILURES, LATENCY, WORKERS, DECISIONS, SESSIONS, CLIENTS, REDIS, DISCOVERY, INDEX, TOKENS, PROCESS)
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(rows: Sequence[Row] = ROWS) -> str:
    """The file's text."""
    return json.dumps(_document(rows), indent=2) + "\n"


def _document(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "uid": "warmroute",
        "title": "Warmroute",
        "description": "Is the prefix cache used, are predictions true, and is the fleet well? See docs/metrics.md.",
        "tags": ["warmroute", "llm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_restarts()]},
        "links": [],
        "templating": {"list": list(_variables())},
        "panels": _placed(rows),
    }


def _restarts() -> dict[str, Any]:
    return {
        "name": "Router started",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"changes(process_start_time_seconds{{{ROUTER}}}[2m]) > 0 and warmroute_requests_in_flight >= 0",
        "titleFormat": "router started",
        "textFormat": "{{instance}}",
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}
    for name, label, query in (
        ("router", "Router", "label_values(warmroute_requests_in_flight, instance)"),
        ("model", "Model", "label_values(warmroute_ttft_seconds_count, model)"),
        ("worker", "Worker", "label_values(warmroute_worker_healthy, worker)"),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
            "hide": 0,
        }


def _placed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Panels side by side as long as they fit, rows below one another."""
    placed: list[dict[str, Any]] = []
    ids = iter(range(1, 1000))
    y = 0
    for row in rows:
        head: dict[str, Any] = {
            "id": next(ids),
            "type": "row",
            "title": row.title,
            "collapsed": row.folded,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        placed.append(head)
        panels, end = _laid_out(row.panels, y + 1)
        for panel, grid in panels:
            (head["panels"] if row.folded else placed).append({"id": next(ids), "gridPos": grid, **_panel(panel)})
        y = y + 1 if row.folded else end
    return placed


def _laid_out(panels: Sequence[Panel], y: int) -> tuple[list[tuple[Panel, dict[str, int]]], int]:
    """Each panel with its place, and the first free line below them."""
    x = height = 0
    placed = []
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        placed.append((panel, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x, height = x + panel.width, max(height, panel.height)
    return placed, y + height


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": SOURCE,
        "targets": [_target(panel, number) for number in range(len(panel.queries))],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, number: int) -> dict[str, Any]:
    query = panel.queries[number]
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "time_series",
        "instant": panel.kind == "stat",
        "range": panel.kind != "stat",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    fields: dict[str, Any] = {"unit": panel.unit, "noValue": "no data"}
    if panel.least is not None:
        fields["min"] = panel.least
    if panel.most is not None:
        fields["max"] = panel.most
    if panel.kind == "stat":
        fields |= {"color": {"mode": "thresholds"}, "thresholds": _thresholds(panel)}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        fields["color"] = {"mode": "palette-classic"}
        fields["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": stacking,
        }
    return fields


def _thresholds(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.warn_above is not None:
        steps.append({"color": "orange", "value": panel.warn_above})
    if panel.warn_below is not None:
        steps = [{"color": "orange", "value": None}, {"color": "green", "value": panel.warn_below}]
    return {"mode": "absolute", "steps": steps}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "none", "textMode": "value"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
