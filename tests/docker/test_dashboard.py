"""The dashboard that is delivered: as generated, of metrics that exist, in PromQL that parses, and well formed."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from docker.grafana.grafana import ROWS, dashboard
from loadtests.drills.dashboard import resolved
from tests.docker.promql import unknown
from tests.test_docs import METRICS_PAGE, documented_metrics

DOCS = Path(__file__).parents[2] / "docs"
GRAFANA = Path(__file__).parents[2] / "docker/grafana"
FILE = GRAFANA / "dashboards/warmroute.json"
DOCUMENT = json.loads(FILE.read_text())
NOT_SHOWN = {
    "warmroute_worker_held_tokens",  # follows the requests in flight
    "warmroute_prompt_tokens_total",  # follows the requests in flight, and those that report what was cached are shown
    "warmroute_encoded_bytes_total",  # follows the CPU within the tokenizer
    "warmroute_keys_file_reloads_total",  # only a file that is broken needs a hand
    "warmroute_certificates_renewed_total",  # only a renewal that failed needs a hand
    "warmroute_worker_info",  # for queries of one's own, which it joins with URLs
}
MOST_PANELS = 60
"""Danger: with more, nobody finds the one that an incident needs."""
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


def test_nobody_has_to_search_for_a_panel() -> None:
    assert len(panels(DOCUMENT)) <= MOST_PANELS
    assert len({panel["title"] for panel in panels(DOCUMENT)}) == len(panels(DOCUMENT))


def test_the_first_row_says_whether_it_works_is_right_and_what_it_saves() -> None:
    first, *_ = ROWS
    assert not first.folded
    shown = " ".join(query.expr for panel in first.panels for query in panel.queries)
    for metric in (
        "warmroute_requests_total",
        "warmroute_worker_healthy",
        "warmroute_predicted_cached_tokens_total",
        "warmroute_cached_tokens_total",
        "warmroute_shadow_prefill_seconds_total",
        "warmroute_session_turns_waiting",
    ):
        assert metric in shown


def test_what_may_be_negative_is_not_cut_off() -> None:
    """A policy that would have computed less than what was served."""
    (saved,) = (panel for panel in panels(DOCUMENT) if panel["title"] == "Workers saved")
    assert "min" not in saved["fieldConfig"]["defaults"]
    (prompts,) = (panel for panel in panels(DOCUMENT) if panel["title"] == "Prompt tokens")
    assert prompts["fieldConfig"]["defaults"]["min"] == 0


@pytest.mark.parametrize("page", ["operations.md", "troubleshooting.md"])
def test_panels_that_the_pages_name_exist(page: str) -> None:
    """Outside of code, they quote nothing that begins with a capital but titles of panels and rows."""
    prose = re.sub(r"```.*?```", "", (DOCS / page).read_text(), flags=re.DOTALL)
    named = set(re.findall(r'"([A-Z][^"]+)"', " ".join(prose.split())))
    assert named
    assert named <= {panel.title for row in ROWS for panel in row.panels} | {row.title for row in ROWS}


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
