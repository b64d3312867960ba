"""What is counted comes out, in names and shapes that Prometheus takes."""

from router.observe.instruments import Counter, Histogram
from router.observe.metrics import GaugeCollector, Instruments
from tests.router.metrics_page import page


def test_counters_and_histograms() -> None:
    counter = Counter("c", "help", ("a",))
    counter.add(2, ("x",))
    counter.add(1, ("x",))
    histogram = Histogram("h_seconds", "help", bounds=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    found = page(counter, histogram)
    assert found["c_total{a=x}"] == 3
    assert found["h_seconds_bucket{le=0.1}"] == 2
    assert found["h_seconds_bucket{le=1.0}"] == 3
    assert found["h_seconds_bucket{le=+Inf}"] == found["h_seconds_count{}"] == 4
    assert found["h_seconds_sum{}"] == 7.65


def test_gauges() -> None:
    found = page(GaugeCollector([("g", "h", lambda: 7), ("n_total", "h", lambda: 8)]))
    assert (found["g{}"], found["n_total{}"]) == (7, 8)


def test_no_histogram_carries_a_workers_name() -> None:
    histograms = [value for value in vars(Instruments()).values() if isinstance(value, Histogram)]
    assert histograms
    assert all("worker" not in histogram.labels for histogram in histograms)
