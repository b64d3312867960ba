"""The metrics of discovery: how many workers each source names, how fresh that is, and how many were refused."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.members.reconcile import Feed, Reconciler


class DiscoveryCollector(Collector):
    """One sample for each source. It is read while the values change, so every value must be one attribute."""

    def __init__(self, reconciler: Reconciler, clock: Callable[[], float]) -> None:
        self._reconciler = reconciler
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """The metric families, without samples where there are no sources."""
        now = self._clock()
        gauges: tuple[tuple[str, str, Callable[[Feed], float]], ...] = (
            ("warmroute_discovered_workers", "Workers that a source named last.", lambda feed: len(feed.specs)),
            ("warmroute_discovery_age_seconds", "Time since a source last answered.", lambda feed: now - feed.good_at),
            (
                "warmroute_discovery_refused_workers",
                "Named workers that worker_allow does not allow.",
                lambda feed: feed.refused,
            ),
        )
        for name, help_text, read in gauges:
            gauge = GaugeMetricFamily(name, help_text, labels=("source",))
            for feed in self._reconciler.feeds:
                gauge.add_metric((feed.source.name,), read(feed))
            yield gauge
        updates = CounterMetricFamily(
            "warmroute_discovery_updates", "Answers of sources, by result.", labels=("source", "result")
        )
        for feed in self._reconciler.feeds:
            updates.add_metric((feed.source.name, "good"), feed.updates)
            updates.add_metric((feed.source.name, "failed"), feed.failures)
        yield updates
        yield GaugeMetricFamily(
            "warmroute_workers_leaving",
            "Workers that left their sources and are drained.",
            value=self._reconciler.leaving,
        )
