"""The metrics of each worker: its load, health, breaker, alarms and restarts."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.fleet.breaker import BreakerState
from router.fleet.worker import Worker, WorkerState

Column = tuple[str, str, Callable[[Worker], float]]
"""Name, help, and what to read of a worker."""

GAUGES: tuple[Column, ...] = (
    ("warmroute_worker_in_flight", "Requests in flight.", lambda w: w.running.in_flight),
    (
        "warmroute_worker_queued_tokens",
        "Uncached prompt tokens that await prefill.",
        lambda w: w.running.queued_tokens,
    ),
    ("warmroute_worker_held_tokens", "Prompt tokens of requests in flight.", lambda w: w.running.held_tokens),
    ("warmroute_worker_engine_waiting", "Requests waiting, as the engine says.", lambda w: w.gauges.waiting),
    ("warmroute_worker_kv_usage_ratio", "KV blocks in use, as the engine says.", lambda w: w.gauges.kv_usage),
    ("warmroute_worker_kv_capacity_tokens", "KV pool size.", lambda w: w.pool.capacity_tokens),
    ("warmroute_worker_kv_kept_tokens", "Tokens believed to be kept for prefixes.", lambda w: w.pool.kept_tokens),
    ("warmroute_worker_prefill_tokens_per_second", "Prefill rate in use.", lambda w: w.prefill_rate),
    ("warmroute_worker_healthy", "1 when healthy.", lambda w: float(w.healthy)),
    ("warmroute_worker_draining", "1 when draining.", lambda w: float(w.state is WorkerState.DRAINING)),
    (
        "warmroute_worker_breaker_open",
        "1 when the breaker is not closed.",
        lambda w: float(w.breaker.state is not BreakerState.CLOSED),
    ),
)
COUNTERS: tuple[Column, ...] = (
    ("warmroute_worker_restarts", "Engine restarts noticed.", lambda w: w.restarts),
    (
        "warmroute_zero_hits",
        "Hits predicted of which the engine had not even the first block.",
        lambda w: w.cache_loss.misses_total,
    ),
)


class WorkerCollector(Collector):
    """Reads the metrics of all workers when they are asked for."""

    def __init__(self, workers: Callable[[], Iterable[Worker]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """One family each, one sample per worker."""
        workers = list(self._workers())
        for name, help_text, read in GAUGES:
            family = GaugeMetricFamily(name, help_text, labels=("worker",))
            for worker in workers:
                family.add_metric((worker.id,), read(worker))
            yield family
        names = GaugeMetricFamily("warmroute_worker_info", "1: a worker's id and its URL.", labels=("worker", "url"))
        for worker in workers:
            names.add_metric((worker.id, worker.name), 1)
        yield names
        alarms = GaugeMetricFamily("warmroute_worker_alarm", "1 while something is wrong.", labels=("worker", "kind"))
        for worker in workers:
            for kind in sorted(worker.alarms):
                alarms.add_metric((worker.id, kind), 1)
        yield alarms
        for name, help_text, read in COUNTERS:
            counter = CounterMetricFamily(name, help_text, labels=("worker",))
            for worker in workers:
                counter.add_metric((worker.id,), read(worker))
            yield counter
