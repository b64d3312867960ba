"""Every metric that Warmroute exports, on one page.

The hot path touches `Instruments`; gauges are read from their owners when scraped. A room with many values has a
collector in its own `metrics.py` (`router.shared`: `counters.py`; `router.shadow`: `shadows.py`).
Histograms never carry a worker's name: with 1,000 workers they would be most of the page.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from router.observe.instruments import Counter, Histogram
from router.observe.record import RequestRecord

log = logging.getLogger("warmroute")


class Instruments(Collector):
    """What the hot path counts."""

    def __init__(self) -> None:
        self.requests = Counter(
            "warmroute_requests",
            "Requests by model, worker that answered, endpoint and outcome.",
            ("model", "worker", "endpoint", "outcome"),
        )
        self.retries = Counter("warmroute_retries", "Attempts repeated before the first byte, by cause.", ("cause",))
        self.decisions = Counter("warmroute_decisions", "Workers chosen, by the policy's reason.", ("policy", "reason"))
        self.degraded = Counter(
            "warmroute_degraded", "Decisions made on less than exact tokens, by reason.", ("reason",)
        )
        self.prompts = Counter("warmroute_prompts", "Prompts by how their tokens were known at decision.", ("source",))
        self.prompt_tokens = Counter("warmroute_prompt_tokens", "Prompt tokens sent, by worker.", ("worker",))
        self._add_predictions()
        self.client_errors = Counter(
            "warmroute_refused_requests", "Requests refused by the router, by status.", ("status",)
        )
        self.forwarded_ids = Counter(
            "warmroute_forwarded_ids", "Chat prompts whose token ids were sent along, by model.", ("model",)
        )
        self._add_clients()
        self.ttft = Histogram(
            "warmroute_ttft_seconds", "From the last request byte in to the first answer byte out.", ("model",)
        )
        self.inter_token = Histogram(
            "warmroute_inter_token_latency_seconds", "Between two chunks of a streamed answer.", ("model",)
        )
        self.duration = Histogram(
            "warmroute_request_duration_seconds", "From the request's start to its last byte.", ("endpoint",)
        )
        self.overhead = Histogram(
            "warmroute_overhead_seconds", "From the last request byte in to the first byte out towards the worker."
        )
        self._add_shared()

    def finished(self, record: RequestRecord) -> None:
        """A request is over."""
        self.requests.add(1, (record.model, record.worker, record.endpoint, record.outcome))
        self.client_requests.add(1, (record.client, record.outcome))
        self.duration.observe(record.duration_s, (record.endpoint,))
        if record.dispatched_at:
            self.overhead.observe(record.overhead_s)
        if record.answered:
            self.ttft.observe(record.ttft_s, (record.model,))

    def report_records(self, error: BaseException) -> None:
        """The writer of the prefix index crashed, and goes on behind what it was writing."""
        log.error("records of the prefix index were lost", exc_info=error)
        self.restarts.add(1, ("record batcher",))

    def _add_predictions(self) -> None:
        """Add the metrics of what was predicted to be cached, and what engines reported."""
        self.reported_prompt_tokens = Counter(
            "warmroute_reported_prompt_tokens",
            "Prompt tokens of requests whose engine reported cached tokens.",
            ("worker",),
        )
        self.predicted_cached_tokens = Counter(
            "warmroute_predicted_cached_tokens",
            "Tokens predicted to be cached, of requests whose engine reported cached tokens.",
            ("worker",),
        )
        self.cached_tokens = Counter(
            "warmroute_cached_tokens", "Tokens really cached, as the engine reported.", ("worker",)
        )
        self.overpredicted_tokens = Counter(
            "warmroute_overpredicted_tokens", "Tokens predicted to be cached that were not.", ("worker",)
        )
        self.token_asks = Counter(
            "warmroute_token_asks", "Prompts whose token ids a worker was asked for, by outcome.", ("outcome",)
        )
        self.token_mismatches = Counter(
            "warmroute_prompt_token_mismatches", "Prompts whose exact length differs from the engine's.", ("model",)
        )
        self.learn_skipped = Counter(
            "warmroute_reports_missing",
            "Answers that reported no cached tokens, or nothing to learn from, by worker.",
            ("worker",),
        )

    def _add_shared(self) -> None:
        """Add the metrics of the index, of what routers share, and of the tasks that keep them."""
        self.registry_entries = Counter(
            "warmroute_registry_entries", "Entries of the shared registry that were read, by outcome.", ("outcome",)
        )
        self.restarts = Counter(
            "warmroute_background_restarts", "Background tasks that ended and were started again.", ("task",)
        )
        self.match = Histogram("warmroute_index_match_seconds", "Time of one prefix index lookup.")
        self.fallbacks = Counter("warmroute_index_fallbacks", "Lookups answered without Redis, by reason.", ("reason",))
        self.recalled = Counter(
            "warmroute_conversations_recalled", "Conversations that other routers were asked about.", ("result",)
        )

    def _add_clients(self) -> None:
        """Add the metrics by client. Their labels are those of the keys file: a closed set."""
        self.client_requests = Counter(
            "warmroute_client_requests", "Requests by the client's label and outcome.", ("client", "outcome")
        )
        self.client_refusals = Counter(
            "warmroute_client_refusals",
            "Requests refused because of their client's rights or limits, by reason.",
            ("client", "reason"),
        )
        self.client_prompt_tokens = Counter(
            "warmroute_client_prompt_tokens", "Prompt tokens of answered requests, by client.", ("client",)
        )
        self.client_uncached_tokens = Counter(
            "warmroute_client_uncached_tokens",
            "Prompt tokens that were not cached: what the client's limit counts.",
            ("client",),
        )
        self.queue_wait = Histogram(
            "warmroute_queue_wait_seconds",
            "Waits in the router, by client and by what was waited for.",
            ("client", "reason"),
        )
        self.client_completion_tokens = Counter(
            "warmroute_client_completion_tokens", "Generated tokens, as engines report them, by client.", ("client",)
        )

    def collect(self) -> Iterator[Metric]:
        """All metrics of requests, of clients and of what routers share."""
        for value in vars(self).values():
            yield from value.collect()


Gauge = tuple[str, str, Callable[[], float]]
"""Name, help, reader."""


class GaugeCollector(Collector):
    """Single values read from their owners at scrape time. Names that end in `_total` are counters."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._gauges = tuple(gauges)

    def collect(self) -> Iterator[Metric]:
        """One family for each gauge."""
        for name, help_text, read in self._gauges:
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(name.removesuffix("_total"), help_text, value=read())


class MetricsPage:
    """The `/metrics` page. `render` may take long: call it off the event loop."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self._registry)
