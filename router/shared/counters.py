"""Metrics of the link. They exist without a link too, so that the metrics page does not depend on settings."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.observe.instruments import Counter, Histogram

ROUND_TRIP_BOUNDS_S = (
    *(0.00005, 0.0001, 0.00015, 0.0002, 0.00025, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1),
    *(0.5, 1.0, 5.0),
)


class LinkCounters(Collector):
    """Counted by the link and by its users. `restarts` counts those of all background tasks; its maker exports it."""

    def __init__(self, restarts: Counter | None = None) -> None:
        self.restarts = restarts
        self.up = False
        """True when there is a connection and the breaker is closed."""
        self.secret_differs = False
        """True when another router uses another index secret: the two share nothing."""
        self.calls = Counter("warmroute_redis_calls", "Commands by how they ended.", ("outcome",))
        self.late = Counter("warmroute_redis_late_replies", "Replies that came after their deadline.")
        self.connections = Counter("warmroute_redis_connections", "Connections made.")
        self.connect_failures = Counter("warmroute_redis_connect_failures", "Connections that could not be made.")
        self.breaker_opened = Counter("warmroute_redis_breaker_opened", "Times that the breaker opened.")
        self.refused = Counter(
            "warmroute_redis_values_refused", "Values that were read and that no router wrote, by kind.", ("kind",)
        )
        self.round_trip = Histogram(
            "warmroute_redis_round_trip_seconds",
            "Time from sending a command to its reply.",
            bounds=ROUND_TRIP_BOUNDS_S,
        )

    def collect(self) -> Iterator[Metric]:
        """All metrics of the link."""
        yield GaugeMetricFamily("warmroute_redis_up", "1 when connected and fast enough.", value=float(self.up))
        yield GaugeMetricFamily(
            "warmroute_redis_secret_differs",
            "1 when another router uses another index_secret.",
            value=float(self.secret_differs),
        )
        for value in vars(self).values():
            if isinstance(value, Counter | Histogram) and value is not self.restarts:
                yield from value.collect()
