"""What each source said last, how long ago, and how often it could not be asked."""

import pytest

from router.members.metrics import DiscoveryCollector
from router.members.reconcile import Reconciler
from router.members.source import WorkerSpec
from tests.router.members.findings import Told, membership
from tests.router.metrics_page import page


def test_each_source_has_its_samples() -> None:
    now = 100.0
    reconciler = Reconciler(membership("10.0.0.0/8"), (Told("one"), Told("two")), lambda: now, 30.0, ())
    one, two = reconciler.feeds
    collector = DiscoveryCollector(reconciler, lambda: now)
    one.found([WorkerSpec("http://10.0.0.1:1"), WorkerSpec("http://10.0.0.2:1"), WorkerSpec("http://11.0.0.1:1")])
    reconciler.follow()
    now += 5
    two.failed("gone")
    one.found([WorkerSpec("http://10.0.0.1:1")])
    reconciler.follow()
    now += 2
    found = page(collector)
    assert [found[f"warmroute_discovered_workers{{source={name}}}"] for name in ("one", "two")] == [1, 0]
    ages = [found[f"warmroute_discovery_age_seconds{{source={name}}}"] for name in ("one", "two")]
    assert ages == [pytest.approx(2), pytest.approx(7)]
    assert found["warmroute_discovery_refused_workers{source=one}"] == 0
    assert found["warmroute_discovery_updates_total{result=good,source=one}"] == 2
    assert found["warmroute_discovery_updates_total{result=failed,source=two}"] == 1
    assert found["warmroute_workers_leaving{}"] == 1


def test_workers_that_are_not_allowed_are_counted() -> None:
    reconciler = Reconciler(membership("10.0.0.0/8"), (Told("one"),), lambda: 0.0, 30.0, ())
    (feed,) = reconciler.feeds
    feed.found([WorkerSpec("http://11.0.0.1:1")])
    reconciler.follow()
    found = page(DiscoveryCollector(reconciler, lambda: 0.0))
    assert found["warmroute_discovery_refused_workers{source=one}"] == 1
