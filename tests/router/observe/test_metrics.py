"""What is counted comes out, in names and shapes that Prometheus takes."""

from router.observe.instruments import Histogram
from router.observe.metrics import GaugeCollector, Instruments
from tests.router.metrics_page import page


def test_gauges() -> None:
    found = page(GaugeCollector([("g", "h", lambda: 7), ("n_total", "h", lambda: 8)]))
    assert (found["g{}"], found["n_total{}"]) == (7, 8)


def test_no_histogram_carries_a_workers_name() -> None:
    histograms = [value for value in vars(Instruments()).values() if isinstance(value, Histogram)]
    assert histograms
    assert all("worker" not in histogram.labels for histogram in histograms)
