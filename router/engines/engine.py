"""The values that engines answer with, and the contract that each kind of engine keeps.

Facts and loads are snapshots: nothing here changes, and zero or empty always means "the engine does not say".
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import httpx

from router.dial.allow import MAX_PORT
from tokenizer_cache.rules import Served

EngineKind = Literal["vllm", "sglang", "unknown"]
MAX_PLACES: Final = 16_384
"""Models of one server times its ranks. Danger: each model's group has each rank, so that 4,096 models on 256 ranks
stop the event loop for a second whenever anything changes."""
UNKNOWN_SERVER: Final = Served(engine="unknown")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One entry of `/v1/models`: a base model or a LoRA adapter."""

    id: str
    root: str
    """The path or hub name that it was loaded from."""
    parent: str
    """The base model's id when this is a LoRA adapter, else empty."""
    max_model_len: int
    """Longest prompt plus output, in tokens; 0 when not said (LoRA adapters: see the parent)."""


@dataclass(frozen=True, slots=True)
class EventPorts:
    """Where an engine publishes its KV events, at its own host."""

    events: int
    repeats: int = 0
    """Where missed ones are asked for; 0 for nowhere."""
    topic: str = ""

    def of_rank(self, rank: int) -> "EventPorts | None":
        """Of another rank of the same server: its ports are higher by its number. None where there are no such
        ports."""
        events, repeats = self.events + rank, self.repeats + rank if self.repeats else 0
        return EventPorts(events, repeats, self.topic) if max(events, repeats) <= MAX_PORT else None


@dataclass(frozen=True, slots=True)
class RankFacts:
    """What one of several data-parallel ranks behind one URL has of its own."""

    kv_capacity_tokens: int
    events: EventPorts | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What stays true about a worker while its engine's process lives (LoRA adapters may come and go)."""

    engine: EngineKind
    version: str
    models: tuple[ModelCard, ...]
    block_tokens: int
    """Cached prompt tokens are a multiple of this: a prediction must be floored to it."""
    kv_capacity_tokens: int
    """KV pool size in tokens. Of a server with several ranks: over all of them; `of_rank` has each one's."""
    generation: str
    """Identity of the engine's process: equal for as long as it lives, on every router that asks. Empty when the engine
    shows none; then `restarted` and refused connections show a restart."""
    refused: str | None = None
    """Why the worker must not be used (it is one half of a prefill/decode pair); None when it may."""
    served: Served = UNKNOWN_SERVER
    """The server's options that change prompts."""
    prefix_caching: bool = True
    """False when the engine says that its prefix cache is off: then no prompt is ever cached there."""
    events: EventPorts | None = None
    """None where it does not say that it publishes KV events, and where several ranks do so."""
    ranks: tuple[RankFacts, ...] = ()
    """Data-parallel ranks behind this one URL, in the order in which requests name them; empty where there is one."""

    @property
    def unusable(self) -> str | None:
        """Why the worker must not be used, for whatever reason; None when it may."""
        if len(self.models) * len(self.ranks) > MAX_PLACES:
            return f"{len(self.models):,} models on {len(self.ranks)} ranks: more than {MAX_PLACES:,} in all"
        return self.refused

    def of_rank(self, rank: int) -> "Facts":
        """What is true of one rank. A server of one rank is its own."""
        if not self.ranks:
            return self
        own = self.ranks[rank]
        return replace(self, kv_capacity_tokens=own.kv_capacity_tokens, events=own.events)


@dataclass(frozen=True, slots=True)
class Load:
    """One reading of an engine's gauges and counters, over all its DP ranks. Counters count from the process's
    start."""

    running: int
    waiting: int
    kv_usage: float
    """Share of the KV pool in use by running requests, 0..1; the mean of the ranks."""
    prefill_seconds_sum: float
    """vLLM: sum of all requests' prefill times, which overlap. SGLang: time that it was busy with prefill."""
    prefill_tokens_sum: int
    """Prompt tokens that were computed (not found in a cache)."""
    prompt_tokens_total: int | None
    """None where the engine does not export it (SGLang without --enable-metrics). The same holds for the next two."""
    hit_tokens_total: int | None
    """Prompt tokens found in the engine's own KV pool."""
    generated_tokens_total: int | None
    generation: str
    """As in Facts, where the same answer carries it; else empty."""
    ranks: tuple["Load", ...] = ()
    """Of each rank that reported, in the order of `Facts.ranks`; empty where there is one. Counters of different
    numbers of ranks cannot be compared."""


class Engine(Protocol):
    """How to ask one kind of engine. Holds no state of any worker. Every method does its I/O within the client's time
    limit and raises WorkerAnswerError, nothing else, whatever the worker answers."""

    @property
    def kind(self) -> EngineKind: ...

    @property
    def health_path(self) -> str:
        """Answers 2xx, cheaply, when the worker can take requests."""
        ...

    async def facts(self, client: httpx.AsyncClient, url: str) -> Facts:
        """Several requests; ask when a worker appears, not every second."""
        ...

    async def load(self, client: httpx.AsyncClient, url: str) -> Load | None:
        """None when this engine shows no load at all."""
        ...


def restarted(before: Load, after: Load) -> bool:
    """Did the engine's process change between two readings? Its identity shows it, where it has one; else a counter
    that only grows fell. A restarted engine hides that only if it exceeds its old counters between two readings."""
    if before.generation and after.generation:
        return before.generation != after.generation
    if len(before.ranks) != len(after.ranks):
        return False
    return any(
        then is not None and now is not None and now < then
        for then, now in zip(_counters(before), _counters(after), strict=True)
    )


def _counters(load: Load) -> tuple[float | None, ...]:
    return (
        load.prefill_seconds_sum,
        load.prefill_tokens_sum,
        load.prompt_tokens_total,
        load.hit_tokens_total,
        load.generated_tokens_total,
    )
