"""The reader of PromQL finds what is wrong."""

import pytest

from tests.docker.promql import selectors, unknown


def test_it_finds_every_selector() -> None:
    expr = "sum by (worker) (rate(a_total{x='1'}[5m])) / on (worker) group_left b offset 5m unless c > 1"
    assert sorted(str(selector.name) for selector in selectors(expr)) == ["a_total", "b", "c"]


def test_metrics_and_labels_that_the_router_lacks_are_found() -> None:
    assert unknown('rate(warmroute_ttft_seconds_bucket{model="m",le="1.0"}[5m])') == []
    assert unknown('warmroute_ttft_seconds_bucket{worker="w"}') == ["warmroute_ttft_seconds_bucket{worker}"]
    assert unknown("warmroute_ttft_seconds") == ["warmroute_ttft_seconds"]
    assert unknown("warmroute_requests") == ["warmroute_requests"]
    assert unknown("sum by (job, worker) (rate(warmroute_requests_total[5m]))") == []
    assert unknown("max(sum by (reason) (rate(warmroute_requests_total[5m])))") == ["reason"]


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        selectors("sum by (rate(x[5m])")
