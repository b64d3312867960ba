"""Counters and histograms for the hot path: plain dictionaries, a tenth of a microsecond a touch.

They are turned into prometheus_client's families when scraped, in another thread. Their label values come from closed
sets (workers, model names that workers serve, reasons), so they cannot grow with what clients send.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

LATENCY_BOUNDS_S = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0),
    *(7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)


class Counter:
    """A monotonic count by label values."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = labels
        self.values: defaultdict[tuple[str, ...], float] = defaultdict(float, {} if labels else {(): 0.0})

    def add(self, amount: float = 1, labels: tuple[str, ...] = ()) -> None:
        """Count `amount` more under these label values."""
        self.values[labels] += amount

    def collect(self) -> Iterator[Metric]:
        """As a Prometheus family."""
        family = CounterMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, value in list(self.values.items()):
            family.add_metric(labels, value)
        yield family


class Series:
    """One label's cells of a histogram, for code that observes many values in a row."""

    __slots__ = ("_bounds", "_cells")

    def __init__(self, bounds: tuple[float, ...], cells: list[float]) -> None:
        self._bounds = bounds
        self._cells = cells

    def observe(self, value: float) -> None:
        """Count one value."""
        cells = self._cells
        cells[bisect_left(self._bounds, value)] += 1
        cells[-1] += value


class Histogram:
    """A distribution of seconds by label values."""

    def __init__(
        self, name: str, help_text: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = LATENCY_BOUNDS_S
    ) -> None:
        self.name = name
        self.help_text = help_text
        self.labels = labels
        self.bounds = bounds
        self._counts: dict[tuple[str, ...], list[float]] = {}
        self._series: dict[tuple[str, ...], Series] = {}

    def observe(self, value: float, labels: tuple[str, ...] = ()) -> None:
        """Count one value."""
        (self._series.get(labels) or self.series(labels)).observe(value)

    def series(self, labels: tuple[str, ...] = ()) -> Series:
        """The cells of these label values; the last one holds the sum."""
        series = self._series.get(labels)
        if series is None:
            cells = self._counts[labels] = [0.0] * (len(self.bounds) + 2)
            series = self._series[labels] = Series(self.bounds, cells)
        return series

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many values there were, by label values."""
        return {labels: int(sum(cells[:-1])) for labels, cells in list(self._counts.items())}

    def quantile(self, share: float) -> float | None:
        """The value below which this share of all values lies, whatever their labels, as exact as the bounds are; None
        without values."""
        every = [sum(cells) for cells in zip(*list(self._counts.values()), strict=True)][:-1]
        wanted, below = share * sum(every), 0.0
        for count, low, high in zip(every, (0.0, *self.bounds), (*self.bounds, self.bounds[-1]), strict=False):
            if count and below + count >= wanted:
                return float(low + (high - low) * (wanted - below) / count)
            below += count
        return None

    def collect(self) -> Iterator[Metric]:
        """As a Prometheus family with cumulative buckets."""
        family = HistogramMetricFamily(self.name, self.help_text, labels=self.labels)
        for labels, live in list(self._counts.items()):
            counts = list(live)
            buckets = []
            total = 0.0
            for bound, count in zip((*map(str, self.bounds), "+Inf"), counts[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric(labels, buckets, sum_value=counts[-1])
        yield family
