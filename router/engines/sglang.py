"""SGLang: readiness at /ready, facts at /server_info, load at /v1/loads; metrics only if it was started with them.

Its /health generates a token, so it is asked only where /ready is missing. Names as of 0.5.23.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import httpx
import msgspec

from router.engines.answers import (
    MAX_NAME_CHARS,
    NO_ANSWERS,
    AnswerFault,
    WorkerAnswerError,
    fetch,
    fetch_json,
    fetch_models,
    fetch_samples,
    plain,
    within,
)
from router.engines.engine import EngineKind, EventPorts, Facts, Load, ModelCard, RankFacts
from router.engines.events import sglang_events
from router.engines.metrics import MAX_BLOCK_TOKENS, MAX_KV_TOKENS, MAX_RANKS, MAX_VALUE, filtered_page, total
from router.engines.prometheus_text import Sample, Wanted
from router.engines.sglang_served import ServerOptions, served

_INFO_PATH = "/server_info"
_LOADS_PATH = "/v1/loads?include=core"
_PROMPT_TOKENS = "sglang:prompt_tokens_total"
_CACHED_TOKENS = "sglang:cached_tokens_total"
_GENERATED_TOKENS = "sglang:generation_tokens_total"
_COUNTERS = (_PROMPT_TOKENS, _CACHED_TOKENS, _GENERATED_TOKENS)
_WANTED = Wanted(_COUNTERS)
_COUNTERS_PAGE = filtered_page(_COUNTERS)
_OWN_POOL = ("device", "total")
"""Labels of cached tokens that come from the engine's own pool; `total` is the label when it knows no sources."""
_MICROSECONDS = 1e6


class _SglangServerInfo(ServerOptions, kw_only=True):
    disaggregation_mode: str | None
    """It has no default: its presence distinguishes SGLang's answer from other servers' answers."""
    version: str = ""
    page_size: int | None = None
    dcp_size: int | None = None
    dp_size: int | None = None
    max_total_num_tokens: int | None = None
    disable_radix_cache: bool | None = None
    enable_metrics: bool | None = None
    kv_events: msgspec.Raw = msgspec.Raw(b"null")
    startup_time: msgspec.Raw = msgspec.Raw(b"null")


class _RankLoad(msgspec.Struct):
    num_running_reqs: float
    num_waiting_reqs: float
    dp_rank: int = 0
    token_usage: float = 0.0
    total_prefill_busy_us: float = 0.0
    total_prefill_uncached_tokens: float = 0.0


class _Loads(msgspec.Struct):
    loads: list[_RankLoad]


@dataclass(frozen=True, slots=True)
class Sglang:
    """An SGLang server."""

    metrics: bool = False
    """True when it was started with --enable-metrics, which count prompt, cached and generated tokens."""
    kind: EngineKind = "sglang"
    health_path: str = "/ready"

    async def facts(self, client: httpx.AsyncClient, url: str) -> Facts:
        """See Engine."""
        models = await fetch_models(client, url)
        info = await fetch_json(client, url, _INFO_PATH, _SglangServerInfo)
        dp_size = within(info.dp_size, MAX_RANKS) or 1
        capacity, events = within(info.max_total_num_tokens, MAX_KV_TOKENS), sglang_events(info.kv_events)
        mode = info.disaggregation_mode or "null"
        block_tokens = (within(info.page_size, MAX_BLOCK_TOKENS) or 1) * (within(info.dcp_size, MAX_RANKS) or 1)
        return Facts(
            engine=self.kind,
            version=plain(info.version, MAX_NAME_CHARS),
            models=tuple(_with_root(card, info.loaded_from) for card in models.cards),
            block_tokens=within(block_tokens, MAX_BLOCK_TOKENS) or 1,
            kv_capacity_tokens=within(capacity * dp_size, MAX_KV_TOKENS),
            generation=_generation(info),
            refused=None
            if mode == "null"
            else f"one half of a prefill/decode pair (disaggregation_mode {plain(mode, 20)})",
            served=await served(client, url, info),
            prefix_caching=not info.disable_radix_cache,
            events=events if dp_size == 1 else None,
            ranks=() if dp_size == 1 else tuple(_rank_facts(capacity, events, rank) for rank in range(dp_size)),
        )

    async def load(self, client: httpx.AsyncClient, url: str) -> Load | None:
        """See Engine. None from versions without /v1/loads."""
        try:
            ranks = (await fetch_json(client, url, _LOADS_PATH, _Loads)).loads
        except WorkerAnswerError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise
        if not ranks:
            raise WorkerAnswerError(_LOADS_PATH, "no rank reports", AnswerFault.CONTENT)
        samples = await self._counters(client, url)
        ranks = sorted(ranks[:MAX_RANKS], key=lambda rank: rank.dp_rank)
        each = tuple(_load([rank], None) for rank in ranks) if len(ranks) > 1 else ()
        return replace(_load(ranks, samples), ranks=each)

    async def _counters(self, client: httpx.AsyncClient, url: str) -> list[Sample] | None:
        """The counters; None where they are not exported. The rest of the load does not depend on them."""
        if not self.metrics:
            return None
        try:
            return await fetch_samples(client, url, _COUNTERS_PAGE, _WANTED)
        except WorkerAnswerError:
            return None


def _rank_facts(capacity: int, events: EventPorts | None, rank: int) -> RankFacts:
    return RankFacts(capacity, None if events is None else events.of_rank(rank))


def _load(ranks: Sequence[_RankLoad], samples: list[Sample] | None) -> Load:
    """Of one rank, or of all. The counters in `samples` are the server's."""
    return Load(
        running=_sum(rank.num_running_reqs for rank in ranks),
        waiting=_sum(rank.num_waiting_reqs for rank in ranks),
        kv_usage=sum(min(1.0, max(0.0, rank.token_usage)) for rank in ranks) / len(ranks),
        prefill_seconds_sum=_sum(rank.total_prefill_busy_us for rank in ranks) / _MICROSECONDS,
        prefill_tokens_sum=_sum(rank.total_prefill_uncached_tokens for rank in ranks),
        prompt_tokens_total=None if samples is None else total(samples, _PROMPT_TOKENS),
        hit_tokens_total=None if samples is None else total(_of_own_pool(samples), _CACHED_TOKENS),
        generated_tokens_total=None if samples is None else total(samples, _GENERATED_TOKENS),
        generation="",
    )


async def recognise(client: httpx.AsyncClient, url: str) -> Sglang | None:
    """The SGLang at `url`, recognised by /server_info; None when another kind of server answers. Raises when nothing
    answers at all, or when the server wants another API key."""
    try:
        info = await fetch_json(client, url, _INFO_PATH, _SglangServerInfo)
    except WorkerAnswerError as error:
        if error.fault in NO_ANSWERS or error.status == httpx.codes.UNAUTHORIZED:
            raise
        return None
    return Sglang(metrics=bool(info.enable_metrics), health_path=await _health_path(client, url))


def _with_root(card: ModelCard, loaded_from: str) -> ModelCard:
    """The card with the model's path as its root. SGLang shows the model's name there; its options hold the path."""
    return replace(card, root=loaded_from) if loaded_from and not card.parent else card


async def _health_path(client: httpx.AsyncClient, url: str) -> str:
    try:
        await fetch(client, url, "/ready")
    except WorkerAnswerError as error:
        if error.status == httpx.codes.NOT_FOUND:
            return "/health"
    return "/ready"


def _generation(info: _SglangServerInfo) -> str:
    """The engine's identity. SGLang shows neither its start time nor a process id, but how long each part of its start
    took, to the microsecond or better: no two starts agree in all of them."""
    raw = bytes(info.startup_time)
    return "" if raw == b"null" else hashlib.blake2b(raw, digest_size=8).hexdigest()


def _of_own_pool(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.labels.get("cache_source", "total") in _OWN_POOL]


def _sum(numbers: Iterable[float]) -> int:
    return round(sum(number for number in numbers if 0 <= number <= MAX_VALUE))
