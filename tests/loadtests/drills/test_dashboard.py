"""The check of the dashboard says what is empty."""

from docker.grafana.panels import Panel, Query
from loadtests.drills.dashboard import Found, report, resolved
from loadtests.harness.prometheus import Series, configuration, numbers

LINE = Series({"worker": "w-1"}, [(0.0, 0.5), (1.0, 2.0)])


def found(series: list[Series], **panel: object) -> Found:
    shown = Panel("Title & more", "Help.", (Query("x", "of {{worker}}"),), **panel)  # type: ignore[arg-type]
    return Found("Row", shown, shown.queries[0], series)


def test_empty_queries_are_marked_and_counted() -> None:
    text = report([found([LINE]), found([])], ["WarmrouteDown (pending)"]).markdown()
    assert "| 1 | 2 |" in text
    assert "**empty**" in text
    assert "2 queries, 1 empty. Alerts: WarmrouteDown (pending)." in text


def test_what_is_not_a_number_counts_as_empty() -> None:
    answers = [({"a": "1"}, [(0, "NaN"), (1, "3")]), ({"a": "2"}, [(0, "NaN")])]
    assert numbers(answers) == [Series({"a": "1"}, [(1, 3.0)])]


def test_variables_are_resolved() -> None:
    expr = 'rate(x{instance=~"$router",worker=~"$worker",model=~"$model"}[$__rate_interval]) + y[$__range]'
    assert resolved(expr, "60s", "5s") == 'rate(x{instance=~".*",worker=~".*",model=~".*"}[5s]) + y[60s]'


def test_prometheus_gets_all_targets_and_the_alerts() -> None:
    text = configuration(["127.0.0.1:1", "127.0.0.1:2"])
    assert "['127.0.0.1:1', '127.0.0.1:2']" in text
    assert "docker/prometheus/alerts.yaml" in text
