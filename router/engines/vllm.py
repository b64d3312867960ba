"""vLLM: health at /health, models at /v1/models, everything else from its metrics. Names as of 0.23 to 0.33.

Only /server_info shows that a worker is one half of a prefill/decode pair, and vLLM serves it only in its development
mode. It shows it as `kv_role`, which NIXL pairs also set to `kv_both`. So most such workers cannot be recognised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import httpx
import msgspec

from router.engines.answers import (
    MAX_NAME_CHARS,
    NO_ANSWERS,
    AnswerFault,
    WorkerAnswerError,
    fetch_json,
    fetch_models,
    fetch_samples,
    plain,
    within,
)
from router.engines.engine import EngineKind, EventPorts, Facts, Load, RankFacts
from router.engines.events import vllm_events
from router.engines.metrics import (
    MAX_BLOCK_TOKENS,
    MAX_KV_TOKENS,
    WHOLE_PAGE,
    by_rank,
    count,
    filtered_page,
    share,
    total,
    values,
)
from router.engines.prometheus_text import Sample, Wanted
from tokenizer_cache.rules import Served

_CONFIG = "vllm:cache_config_info"
_RUNNING = "vllm:num_requests_running"
_WAITING = "vllm:num_requests_waiting"
_USAGE = "vllm:kv_cache_usage_perc"
_PREFILL_SECONDS = "vllm:request_prefill_time_seconds_sum"
_PREFILL_TOKENS = "vllm:request_prefill_kv_computed_tokens_sum"
_PROMPT_TOKENS = "vllm:prompt_tokens_total"
_HIT_TOKENS = "vllm:prefix_cache_hits_total"
_GENERATED_TOKENS = "vllm:generation_tokens_total"
_START = "process_start_time_seconds"

_LOAD_NAMES = (
    _RUNNING,
    _WAITING,
    _USAGE,
    _PREFILL_SECONDS,
    _PREFILL_TOKENS,
    _PROMPT_TOKENS,
    _HIT_TOKENS,
    _GENERATED_TOKENS,
    _START,
)
_FACT_NAMES = (_CONFIG, _START)
_LOAD = Wanted(_LOAD_NAMES)
_FACTS = Wanted(_FACT_NAMES)
_LOAD_PAGE = filtered_page(_LOAD_NAMES)
_FACT_PAGE = filtered_page(_FACT_NAMES)
_HALVES = ("kv_producer", "kv_consumer")


class _Version(msgspec.Struct):
    version: str


class _KvTransfer(msgspec.Struct):
    kv_role: str | None = None


class _Config(msgspec.Struct):
    kv_transfer_config: _KvTransfer | None = None


class _VllmServerInfo(msgspec.Struct):
    vllm_config: _Config


@dataclass(frozen=True, slots=True)
class Vllm:
    """A vLLM server."""

    filtered: bool = True
    """True when it answers with only the named metrics."""
    metrics: bool = True
    """False with --disable-log-stats: then it shows neither load nor block size."""
    kind: EngineKind = "vllm"
    health_path: str = "/health"

    async def facts(self, client: httpx.AsyncClient, url: str) -> Facts:
        """See Engine."""
        models = await fetch_models(client, url)
        page = _FACT_PAGE if self.filtered else WHOLE_PAGE
        samples = await fetch_samples(client, url, page, _FACTS) if self.metrics else []
        configs = {number: each[0].labels for number, each in by_rank(_named(samples, _CONFIG)).items()}
        ranks = list(configs.values())
        events = await vllm_events(client, url)
        return Facts(
            engine=self.kind,
            version=await version(client, url),
            models=models.cards,
            block_tokens=within(max(map(_block_tokens, ranks), default=0), MAX_BLOCK_TOKENS),
            kv_capacity_tokens=within(sum(map(_capacity_tokens, ranks)), MAX_KV_TOKENS),
            generation=_generation(samples),
            refused=await _refused(client, url),
            served=Served(engine=self.kind),
            prefix_caching=all(rank.get("enable_prefix_caching") != "False" for rank in ranks),
            events=next(iter(events.values())) if len(events) == 1 and len(ranks) < 2 else None,
            ranks=() if len(ranks) < 2 else _rank_facts(configs, events),
        )

    async def load(self, client: httpx.AsyncClient, url: str) -> Load | None:
        """See Engine."""
        if not self.metrics:
            return None
        page = _LOAD_PAGE if self.filtered else WHOLE_PAGE
        samples = await fetch_samples(client, url, page, _LOAD)
        if not values(samples, _RUNNING):
            raise WorkerAnswerError(page, f"no {_RUNNING}", AnswerFault.CONTENT)
        generation = _generation(samples)
        by_label = by_rank([sample for sample in samples if sample.name != _START])  # the start is the server's
        ranks = tuple(_load(each, generation) for each in by_label.values()) if len(by_label) > 1 else ()
        return replace(_load(samples, generation), ranks=ranks)


def _load(samples: Sequence[Sample], generation: str) -> Load:
    """Of one rank, or of all."""
    return Load(
        running=total(samples, _RUNNING),
        waiting=total(samples, _WAITING),
        kv_usage=share(samples, _USAGE),
        prefill_seconds_sum=max(0.0, sum(values(samples, _PREFILL_SECONDS))),
        prefill_tokens_sum=total(samples, _PREFILL_TOKENS),
        prompt_tokens_total=total(samples, _PROMPT_TOKENS),
        hit_tokens_total=total(samples, _HIT_TOKENS),
        generated_tokens_total=total(samples, _GENERATED_TOKENS),
        generation=generation,
    )


def _named(samples: Sequence[Sample], name: str) -> list[Sample]:
    return [sample for sample in samples if sample.name == name]


def _rank_facts(configs: Mapping[int, Mapping[str, str]], events: Mapping[int, EventPorts]) -> tuple[RankFacts, ...]:
    """Of each rank. A header names it by its place on this server, its label by its place in the whole group."""
    return tuple(
        RankFacts(within(_capacity_tokens(config), MAX_KV_TOKENS), events.get(number))
        for number, config in configs.items()
    )


async def recognise(client: httpx.AsyncClient, url: str) -> Vllm | None:
    """The vLLM at `url`, recognised by its metrics' names; None when it has no such metrics. Raises when nothing
    answers at all."""
    for filtered, page in ((True, _LOAD_PAGE), (False, WHOLE_PAGE)):
        try:
            samples = await fetch_samples(client, url, page, _LOAD)
        except WorkerAnswerError as error:
            if error.fault in NO_ANSWERS:
                raise
            continue
        if values(samples, _RUNNING):
            return Vllm(filtered=filtered)
    return None


async def version(client: httpx.AsyncClient, url: str) -> str:
    """The version that /version gives; empty when it gives none."""
    try:
        return plain((await fetch_json(client, url, "/version", _Version)).version, MAX_NAME_CHARS)
    except WorkerAnswerError:
        return ""


async def _refused(client: httpx.AsyncClient, url: str) -> str | None:
    try:
        info = await fetch_json(client, url, "/server_info?config_format=json", _VllmServerInfo)
    except WorkerAnswerError:  # the usual case: vLLM does not serve this endpoint
        return None
    transfer = info.vllm_config.kv_transfer_config
    if transfer is None or transfer.kv_role not in _HALVES:
        return None
    return f"one half of a prefill/decode pair (kv_role {transfer.kv_role})"


def _generation(samples: Sequence[Sample]) -> str:
    """The API server's start in seconds since 1970. Absent with several API servers (metrics of many processes)."""
    started = values(samples, _START)
    return f"{started[0]:.2f}" if started else ""


def _block_tokens(config: Mapping[str, str]) -> int:
    """The first block size that is known, of: the alignment of cache hits, the hashed unit, the attention block, the
    configured block."""
    names = ("cache_hit_alignment_tokens", "hash_block_size", "effective_attention_block_size", "block_size")
    return next((size for name in names if (size := count(config.get(name, "")))), 0)


def _capacity_tokens(config: Mapping[str, str]) -> int:
    """KV tokens. The engine's own figure is right for hybrid models; blocks times block size is right for plain
    ones."""
    blocks = count(config.get("num_gpu_blocks", "")) * count(config.get("block_size", ""))
    return count(config.get("kv_cache_size_tokens", "")) or blocks
