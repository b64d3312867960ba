"""What an engine counts, and its `/metrics` under vLLM's or SGLang's names.

Counting happens per request and step in plain integers; the text is made only when it is asked for.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from loadtests.engine.profiles import Profile
from loadtests.engine.scheduler import Progress, Scheduler

SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5)


class Histogram:
    """A cumulative histogram with an upper bound per bucket, as Prometheus wants it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self._counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, cumulative count), the last one +Inf."""
        total, rows = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


@dataclass(slots=True)
class EngineStats:
    """Counted since the engine's start. Times are engine seconds."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    cached_tokens: int = 0
    loaded_tokens: int = 0
    """Cached tokens that were read from a second tier."""
    finished: int = 0
    aborted: int = 0
    prefill_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    queue_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    first_token_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    duration_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    decode_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    per_token_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    """Mean time between two tokens, once per request."""
    gap_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    """The same, once per token."""
    computed_tokens: Histogram = field(default_factory=lambda: Histogram(TOKENS))

    def saw(self, progress: Progress) -> None:
        """A job made tokens: its first, its last, or some between."""
        job = progress.job
        self.generated_tokens += progress.tokens
        if progress.first:
            admitted = job.arrived if job.admitted is None else job.admitted
            self.prompt_tokens += job.prompt_tokens
            self.cached_tokens += job.cached_tokens
            self.loaded_tokens += job.loaded_tokens
            self.computed_tokens.observe(job.prompt_tokens - job.cached_tokens)
            self.queue_s.observe(admitted - job.arrived)
            self.prefill_s.observe(progress.at - admitted)
            self.first_token_s.observe(progress.at - job.arrived)
        if progress.last:
            self.finished += 1
            self.duration_s.observe(progress.at - job.arrived)
            decode_s = progress.at - (progress.at if job.first_token is None else job.first_token)
            self.decode_s.observe(decode_s)
            if job.answer_tokens > 1:
                self.per_token_s.observe(decode_s / (job.answer_tokens - 1))
                self.gap_s.observe(decode_s / (job.answer_tokens - 1), job.answer_tokens - 1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that `/metrics` is made of."""

    model: str
    kind: str
    rank: int
    started_at: float
    profile: Profile
    scheduler: Scheduler
    stats: EngineStats


def render(ranks: Sequence[Snapshot]) -> bytes:
    """The text exposition of all ranks, under the names of their `kind`: `vllm` or `sglang`."""
    registry = CollectorRegistry()
    registry.register(_AllRanks(ranks))
    return generate_latest(registry)


class _AllRanks:
    """The families of each rank, put together."""

    def __init__(self, ranks: Sequence[Snapshot]) -> None:
        self._ranks = [_Collector(snapshot) for snapshot in ranks]
        self._started_at = ranks[0].started_at

    def collect(self) -> Iterator[Metric]:
        for first, *others in zip(*(rank.collect() for rank in self._ranks), strict=True):
            for other in others:
                first.samples += other.samples
            yield first
        start = GaugeMetricFamily("process_start_time_seconds", "process_start_time_seconds")
        start.add_metric([], self._started_at)
        yield start


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._labels = {"model_name": snapshot.model, "engine": str(snapshot.rank)}
        if snapshot.kind == "sglang":
            self._labels = {"model_name": snapshot.model, "engine_type": "unified", "tp_rank": "0", "dp_rank": "0"}

    def collect(self) -> Iterator[Metric]:
        yield from self._sglang() if self._snapshot.kind == "sglang" else self._vllm()

    def _vllm(self) -> Iterator[Metric]:
        scheduler, stats, profile = self._snapshot.scheduler, self._snapshot.stats, self._snapshot.profile
        yield self._gauge("vllm:num_requests_running", len(scheduler.running))
        yield self._gauge("vllm:num_requests_waiting", len(scheduler.waiting))
        yield self._gauge("vllm:kv_cache_usage_perc", scheduler.pool.usage)
        yield self._counter("vllm:num_preemptions", scheduler.preemptions)
        yield self._counter("vllm:prefix_cache_queries", scheduler.queried_tokens)
        yield self._counter("vllm:prefix_cache_hits", scheduler.hit_tokens)
        yield self._counter("vllm:prompt_tokens", stats.prompt_tokens)
        yield self._counter("vllm:prompt_tokens_cached", stats.cached_tokens)
        yield from self._vllm_sources()
        yield self._counter("vllm:generation_tokens", stats.generated_tokens)
        yield self._counter("vllm:request_success", stats.finished, {"finished_reason": "length"})
        yield self._counter("vllm:request_aborted", stats.aborted)
        yield self._histogram("vllm:time_to_first_token_seconds", stats.first_token_s)
        yield self._histogram("vllm:e2e_request_latency_seconds", stats.duration_s)
        yield self._histogram("vllm:request_queue_time_seconds", stats.queue_s)
        yield self._histogram("vllm:request_prefill_time_seconds", stats.prefill_s)
        yield self._histogram("vllm:request_decode_time_seconds", stats.decode_s)
        yield self._histogram("vllm:request_time_per_output_token_seconds", stats.per_token_s)
        yield self._histogram("vllm:inter_token_latency_seconds", stats.gap_s)
        yield self._histogram("vllm:request_prefill_kv_computed_tokens", stats.computed_tokens)
        config = {
            "block_size": str(profile.block_tokens),
            "hash_block_size": str(profile.block_tokens),
            "cache_hit_alignment_tokens": str(profile.block_tokens),
            "num_gpu_blocks": str(profile.blocks),
            "kv_cache_size_tokens": str(profile.blocks * profile.block_tokens),
            "enable_prefix_caching": str(profile.caches),
            "cache_dtype": "auto",
        }
        yield self._gauge("vllm:cache_config_info", 1, {"engine": str(self._snapshot.rank), **config})

    def _vllm_sources(self) -> Iterator[Metric]:
        """Where prompt tokens came from: computed, the pool, or a second tier, which is a KV connector there."""
        scheduler, stats = self._snapshot.scheduler, self._snapshot.stats
        local = stats.cached_tokens - stats.loaded_tokens
        by_source = {
            "local_compute": stats.prompt_tokens - stats.cached_tokens,
            "local_cache_hit": local,
            "external_kv_transfer": stats.loaded_tokens,
        }
        cached_by = {"device": local, "host": stats.loaded_tokens}
        waiting = {"capacity": len(scheduler.waiting), "deferred": 0}
        yield self._labelled(CounterMetricFamily, "vllm:prompt_tokens_by_source", "source", by_source)
        yield self._labelled(CounterMetricFamily, "vllm:prompt_tokens_cached_by_source", "source", cached_by)
        yield self._labelled(GaugeMetricFamily, "vllm:num_requests_waiting_by_reason", "reason", waiting)
        if scheduler.tier is not None:
            missed = scheduler.queried_tokens - scheduler.hit_tokens
            yield self._counter("vllm:external_prefix_cache_queries", missed)
            yield self._counter("vllm:external_prefix_cache_hits", stats.loaded_tokens)

    def _labelled(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        label: str,
        values: Mapping[str, float],
    ) -> Metric:
        made = family(name, name, labels=[*self._labels, label])
        for value, count in values.items():
            made.add_metric([*self._labels.values(), value], count)
        return made

    def _sglang(self) -> Iterator[Metric]:
        scheduler, stats, profile = self._snapshot.scheduler, self._snapshot.stats, self._snapshot.profile
        used = (profile.blocks - scheduler.pool.free) * profile.block_tokens
        hit_rate = scheduler.hit_tokens / scheduler.queried_tokens if scheduler.queried_tokens else 0.0
        yield self._gauge("sglang:num_running_reqs", len(scheduler.running))
        yield self._gauge("sglang:num_queue_reqs", len(scheduler.waiting))
        yield self._gauge("sglang:token_usage", scheduler.pool.usage)
        yield self._gauge("sglang:num_used_tokens", used)
        yield self._gauge("sglang:max_total_num_tokens", profile.blocks * profile.block_tokens)
        yield self._gauge("sglang:page_size", profile.block_tokens)
        yield self._gauge("sglang:cache_hit_rate", hit_rate)
        yield self._counter("sglang:prompt_tokens", stats.prompt_tokens)
        yield self._counter("sglang:cached_tokens", stats.cached_tokens, {"cache_source": "device"})
        yield self._counter("sglang:generation_tokens", stats.generated_tokens)
        yield self._counter("sglang:num_requests", stats.finished)
        yield self._counter("sglang:num_aborted_requests", stats.aborted)
        yield self._histogram("sglang:time_to_first_token_seconds", stats.first_token_s)
        yield self._histogram("sglang:e2e_request_latency_seconds", stats.duration_s)
        yield self._histogram("sglang:queue_time_seconds", stats.queue_s)

    def _gauge(self, name: str, value: float, labels: dict[str, str] | None = None) -> Metric:
        labels = self._labels if labels is None else labels
        family = GaugeMetricFamily(name, name, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        return family

    def _counter(self, name: str, value: float, more: dict[str, str] | None = None) -> Metric:
        labels = {**self._labels, **(more or {})}
        family = CounterMetricFamily(name, name, labels=list(labels))
        family.add_metric(list(labels.values()), value)
        return family

    def _histogram(self, name: str, histogram: Histogram) -> Metric:
        family = HistogramMetricFamily(name, name, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), histogram.buckets(), histogram.sum)
        return family
