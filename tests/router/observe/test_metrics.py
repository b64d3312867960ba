"""What is counted comes out, in names and shapes that Prometheus takes."""

from prometheus_client.parser import text_string_to_metric_families

from router.observe.instruments import Counter, Histogram
from router.observe.metrics import Exposition, GaugeCollector, Instruments, WorkerCollector
from tests.router.fleets import make_fleet


def page(*collectors: object) -> dict[str, float]:
    text = Exposition(collectors).render().decode()  # type: ignore[arg-type]
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples


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


def test_workers_and_gauges() -> None:
    fleet = make_fleet(2)
    worker = next(iter(fleet.workers.values()))
    worker.queue_prefill(123)
    found = page(
        WorkerCollector(fleet.workers.values), GaugeCollector([("g", "h", lambda: 7), ("n_total", "h", lambda: 8)])
    )
    assert found[f"warmroute_worker_queued_tokens{{worker={worker.id}}}"] == 123
    assert found[f"warmroute_worker_healthy{{worker={worker.id}}}"] == 1
    assert found[f"warmroute_worker_breaker_open{{worker={worker.id}}}"] == 0
    assert (found["g{}"], found["n_total{}"]) == (7, 8)


def test_no_histogram_carries_a_workers_name() -> None:
    histograms = [value for value in vars(Instruments()).values() if isinstance(value, Histogram)]
    assert histograms
    assert all("worker" not in histogram.labels for histogram in histograms)
