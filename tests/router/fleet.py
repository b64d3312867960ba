"""Workers and fleets made by hand, with no engine behind them."""

import time
from collections.abc import Callable

from router.breaker import Breaker
from router.engines import Facts, ModelCard
from router.prefill_rate import PrefillRates
from router.workers import Fleet, Worker
from tokenizer_cache.rules import Served

MODEL = "m"


def make_worker(url: str = "http://w:1", clock: Callable[[], float] = time.monotonic) -> Worker:
    """A worker that nobody has probed."""
    return Worker(url, Breaker(clock, 3, 5.0), 8000.0, clock)


def facts(*models: str, block_tokens: int = 16, generation: str = "1", kv_tokens: int = 100_000) -> Facts:
    """Facts as a probe would read them."""
    cards = tuple(ModelCard(name, f"/models/{name}", "", 32768) for name in models or (MODEL,))
    served = Served(engine="vllm")
    return Facts("vllm", "0.30", cards, block_tokens, kv_tokens, generation, served=served)


def make_fleet(count: int, *models: str) -> Fleet:
    """A fleet of `count` healthy workers, all serving `models`."""
    fleet = Fleet(make_worker, lambda later: None, PrefillRates(8000.0))
    for number in range(count):
        worker = fleet.add(f"http://w{number}:8000")
        fleet.on_facts(worker.id, facts(*models))
        fleet.on_healthy(worker.id)
    return fleet
