"""An engine's pages about itself: health, models, version, metrics, and SGLang's own pages."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from loadtests.engine.driver import Engine
from loadtests.engine.metrics import Snapshot, render
from loadtests.engine.settings import Settings

VERSIONS = {"vllm": "0.33.0", "sglang": "0.5.23"}


def metrics(settings: Settings, engines: Sequence[Engine]) -> bytes:
    """`/metrics`."""
    return render([_snapshot(settings, engine, rank) for rank, engine in enumerate(engines)])


def _snapshot(settings: Settings, engine: Engine, rank: int) -> Snapshot:
    named = (settings.model, settings.kind, rank, engine.started_at)
    return Snapshot(*named, engine.profile, engine.scheduler, engine.stats)


def models(settings: Settings, engine: Engine) -> bytes:
    """`/v1/models`: the model, and a card per adapter that names it as its parent."""
    cards = [_card(settings, engine, settings.model, None, settings.max_model_len)]
    cards += [_card(settings, engine, name, settings.model, None) for name in settings.loras]
    return msgspec.json.encode({"object": "list", "data": cards})


def _card(settings: Settings, engine: Engine, name: str, parent: str | None, length: int | None) -> dict[str, Any]:
    card: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": int(engine.started_at),
        "owned_by": settings.kind,
        "root": f"/adapters/{name}" if parent else f"/models/{name}",
        "parent": parent,
        "max_model_len": length,
    }
    if settings.kind == "vllm":
        card["permission"] = []
    return card


def server_info(settings: Settings, engine: Engine) -> bytes:
    """SGLang's `/server_info`, as far as a router reads it."""
    profile = engine.profile
    info = {
        "version": VERSIONS["sglang"],
        "model_path": f"/models/{settings.model}",
        "served_model_name": settings.model,
        "page_size": profile.block_tokens,
        "max_total_num_tokens": profile.blocks * profile.block_tokens,
        "context_length": settings.max_model_len,
        "dp_size": settings.ranks,
        "disaggregation_mode": settings.pair_role,
        "start_time": engine.started_at,
    }
    return msgspec.json.encode(info)


def loads(engines: Sequence[Engine]) -> bytes:
    """SGLang's `/v1/loads`."""
    loads = [_load(engine, rank) for rank, engine in enumerate(engines)]
    return msgspec.json.encode({"version": VERSIONS["sglang"], "loads": loads})


def _load(engine: Engine, rank: int) -> dict[str, Any]:
    scheduler, profile, stats = engine.scheduler, engine.profile, engine.stats
    used = (profile.blocks - scheduler.pool.free) * profile.block_tokens
    return {
        "dp_rank": rank,
        "num_running_reqs": len(scheduler.running),
        "num_waiting_reqs": len(scheduler.waiting),
        "num_waiting_uncached_tokens": sum(job.tokens for job in scheduler.waiting),
        "num_used_tokens": used,
        "max_total_num_tokens": profile.blocks * profile.block_tokens,
        "max_running_requests": profile.max_running,
        "token_usage": scheduler.pool.usage,
        "cache_hit_rate": scheduler.hit_tokens / scheduler.queried_tokens if scheduler.queried_tokens else 0.0,
        "total_prefill_uncached_tokens": int(stats.computed_tokens.sum),
        "total_prefill_busy_us": int(stats.prefill_s.sum * 1e6),
        "timestamp": time.time(),
    }
