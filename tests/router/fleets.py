"""Workers and fleets made by hand, with no engine behind them."""

import time
from collections.abc import Callable

from router.engines import Facts, Load, ModelCard
from router.fleet.breaker import Breaker
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from tokenizer_cache.rules import Served

MODEL = "m"


def make_worker(url: str = "http://w:1", clock: Callable[[], float] = time.monotonic, *, rank: int = 0) -> Worker:
    """A worker that nobody has probed."""
    return Worker(url, Breaker(clock, 3, 5.0), 8000.0, clock, rank=rank)


def facts(*models: str, block_tokens: int = 16, generation: str = "1", kv_tokens: int = 100_000) -> Facts:
    """Facts as a probe would read them."""
    cards = tuple(ModelCard(name, f"/models/{name}", "", 32768) for name in models or (MODEL,))
    served = Served(engine="vllm")
    return Facts("vllm", "0.30", cards, block_tokens, kv_tokens, generation, served=served)


def a_load(running: int = 0, waiting: int = 0, kv_usage: float = 0.0) -> Load:
    """A look at an engine that has counted nothing yet."""
    return Load(
        running=running,
        waiting=waiting,
        kv_usage=kv_usage,
        prefill_seconds_sum=0.0,
        prefill_tokens_sum=0,
        prompt_tokens_total=None,
        hit_tokens_total=None,
        generated_tokens_total=None,
        generation="",
    )


def make_fleet(count: int, *models: str, shuffle: Callable[[list[Worker]], None] | None = None) -> Fleet:
    """A fleet of `count` healthy workers, all serving `models`."""
    fleet = Fleet(make_worker, lambda later: None, PrefillRates(8000.0), shuffle)
    for number in range(count):
        worker = fleet.add(f"http://w{number}:8000")
        fleet.on_facts(worker.id, facts(*models))
        fleet.on_healthy(worker.id)
    return fleet
