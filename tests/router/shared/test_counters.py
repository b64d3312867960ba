"""The metrics of the link exist before there is one."""

from router.observe.instruments import Counter
from router.shared.counters import LinkCounters
from tests.router.metrics_page import page


def test_all_are_there_from_the_start() -> None:
    found = page(LinkCounters())
    assert (found["warmroute_redis_up{}"], found["warmroute_redis_secret_differs{}"]) == (0, 0)
    for name in ("late_replies", "connections", "connect_failures", "breaker_opened"):
        assert found[f"warmroute_redis_{name}_total{{}}"] == 0


def test_what_is_counted_is_shown_once() -> None:
    restarts = Counter("restarts", "help")
    counters = LinkCounters(restarts)
    counters.up = counters.secret_differs = True
    counters.calls.add(2, ("ok",))
    counters.round_trip.observe(0.0001)
    found = page(counters)
    assert (found["warmroute_redis_up{}"], found["warmroute_redis_secret_differs{}"]) == (1, 1)
    assert found["warmroute_redis_calls_total{outcome=ok}"] == 2
    assert found["warmroute_redis_round_trip_seconds_count{}"] == 1
    assert "restarts_total{}" not in found, "its maker exports it"
