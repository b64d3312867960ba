"""What this router hears of KV events, by worker."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.kv_events.follower import HeardWorker


class EventCollector(Collector):
    """One sample for each worker that this router listens to."""

    def __init__(self, heard: Callable[[], Iterable[HeardWorker]]) -> None:
        self._heard = heard

    def collect(self) -> Iterator[Metric]:
        """The families."""
        rows = list(self._heard())
        complete = GaugeMetricFamily(
            "warmroute_kv_events_complete",
            "1 when all that the engine stored and removed is known.",
            labels=("worker",),
        )
        blocks = GaugeMetricFamily("warmroute_kv_events_blocks", "Engine blocks that are known.", labels=("worker",))
        counts = CounterMetricFamily("warmroute_kv_events", "What was heard, by kind.", labels=("worker", "kind"))
        for heard in rows:
            complete.add_metric((heard.worker.id,), float(heard.complete))
            blocks.add_metric((heard.worker.id,), heard.blocks)
            for kind, count in list(heard.counts.items()):
                counts.add_metric((heard.worker.id, kind), count)
        yield from (complete, blocks, counts)
