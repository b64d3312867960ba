"""What collectors show, as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from router.observe.metrics import MetricsPage


def page(*collectors: Collector) -> dict[str, float]:
    """Every sample by its name with its labels: `name{label=value}`."""
    text = MetricsPage(collectors).render().decode()
    samples: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}"] = sample.value
    return samples
