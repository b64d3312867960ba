"""The dashboard that is delivered: as generated, of metrics that exist, in PromQL that parses, and well formed."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from docker.grafana.grafana import ROWS, dashboard
from loadtests.drills.dashboard import resolved
from tests.docker.promql import unknown
from tests.test_docs import METRICS_PAGE, documented_metrics

GRAFANA = Path(__file__).parents[2] / "docker/grafana"
FILE = GRAFANA / "dashboards/warmroute.json"
DOCUMENT = json.loads(FILE.read_text())
NOT_SHOWN = {
    "warmroute_worker_held_tokens",  # follows the requests in flight
    "warmroute_worker_kv_capacity_tokens",  # does not change
}
QUERIES = [(row.title, panel, query.expr) for row in ROWS for panel in row.panels for query in panel.queries]


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them, folded ones too, rows themselves left out."""
    inside = [panel for row in document["panels"] for panel in row.get("panels", [])]
    return [panel for panel in [*document["panels"], *inside] if panel["type"] != "row"]


def test_the_file_is_what_the_code_generates() -> None:
    assert FILE.read_text() == dashboard(), "run: make docs"


@pytest.mark.parametrize(("row", "panel", "expr"), QUERIES)
def test_queries_parse_and_name_what_the_router_exports(row: str, panel: object, expr: str) -> None:
    assert unknown(resolved(expr)) == []


def test_every_metric_is_on_the_dashboard() -> None:
    """What nobody can see is not worth its scrape."""
    shown = FILE.read_text()
    assert {name for name in documented_metrics() if name not in shown} <= NOT_SHOWN


def test_panel_ids_are_unique() -> None:
    ids = [panel["id"] for row in DOCUMENT["panels"] for panel in [row, *row.get("panels", [])]]
    assert len(ids) == len(set(ids))


def test_every_query_asks_the_chosen_data_source() -> None:
    (source,) = (v for v in DOCUMENT["templating"]["list"] if v["type"] == "datasource")
    assert source["query"] == "prometheus"
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(DOCUMENT):
        assert panel["datasource"] == wanted
        assert all(target["datasource"] == wanted for target in panel["targets"])


def test_every_selector_follows_the_variables() -> None:
    assert {v["name"] for v in DOCUMENT["templating"]["list"]} == {"datasource", "router", "model", "worker"}
    for _, _, expr in QUERIES:
        assert expr.count("$router") == expr.count("warmroute_") + expr.count("process_") + expr.count("python_gc")


def test_panels_say_what_they_show_and_do_not_overlap() -> None:
    for panel in panels(DOCUMENT):
        assert panel["description"].endswith("."), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    open_panels = [panel["gridPos"] for panel in DOCUMENT["panels"]]
    for a, b in combinations(open_panels, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below
    assert all(place["x"] + place["w"] <= 24 for place in open_panels)


def test_outcomes_in_queries_are_words_of_the_page() -> None:
    words = {word for _, _, expr in QUERIES for word in outcomes(expr)}
    assert words
    assert all(f"`{word}`" in METRICS_PAGE.read_text() for word in words)


def outcomes(expr: str) -> list[str]:
    return expr.partition('outcome=~"')[2].partition('"')[0].split("|") if "outcome=~" in expr else []
