"""The fleet: its workers, and the listeners to its changes."""

import asyncio
import time
from functools import partial
from typing import Protocol

from router.build.basics import Basics
from router.build.make_sharing import Sharing
from router.fleet.breaker import Breaker
from router.fleet.load_exchange import LoadExchange
from router.fleet.prefill_rate import PrefillRates
from router.fleet.worker import Worker
from router.fleet.workers import Fleet
from router.prefix.index import PrefixIndex
from router.settings import Settings
from router.shadow.shadows import Shadows


def make_fleet(basics: Basics, index: PrefixIndex, sharing: Sharing | None) -> Fleet:
    """Empty, and wired: the index forgets what the fleet forgets, and other routers hear of its workers."""
    settings = basics.settings
    make_worker = partial(_make_worker, basics, sharing.load if sharing else None)
    loop = asyncio.get_running_loop()
    fleet = Fleet(make_worker, loop.call_soon, PrefillRates(settings.prefill_rate), basics.rng.shuffle)
    fleet.on_forget.append(index.remove_worker)
    if sharing is not None:
        fleet.on_groups.append(partial(sharing.load.list_workers, fleet.workers.values()))
        sharing.holders.on_forgotten.append(fleet.forgotten_elsewhere)
    fleet.on_groups.append(partial(_set_capacities, settings, fleet, index))
    fleet.on_belief.append(partial(_set_capacity, settings, index))
    return fleet


def watch_fleet(shadows: Shadows, settings: Settings, fleet: Fleet) -> None:
    """Imagined memories are as large as the real ones, and end with them."""
    fleet.on_forget.append(shadows.remove_worker)
    fleet.on_groups.append(partial(_set_capacities, settings, fleet, shadows))
    fleet.on_belief.append(partial(_set_capacity, settings, shadows))


class Sized(Protocol):
    """Whatever remembers what workers hold."""

    def set_capacity(self, holder: str, blocks: int) -> None:
        """See `PrefixIndex`."""
        ...


def _make_worker(basics: Basics, load: LoadExchange | None, url: str, rank: int = 0) -> Worker:
    settings, tuning = basics.settings, basics.tuning
    breaker = Breaker(time.monotonic, tuning.breaker_failures, tuning.breaker_open_s)
    worker = Worker(url, breaker, settings.prefill_rate, time.monotonic, rank)
    worker.block_tokens = tuning.block_tokens
    worker.warmth.ramp_s = tuning.warm_in_s
    if load is not None:
        load.attach(worker)
    return worker


def _set_capacities(settings: Settings, fleet: Fleet, index: Sized) -> None:
    for worker in fleet.workers.values():
        _set_capacity(settings, index, worker)


def _set_capacity(settings: Settings, index: Sized, worker: Worker) -> None:
    own = worker.pool.kept_tokens or settings.default_kv_tokens
    index.set_capacity(worker.holder, (own + settings.host_kv_tokens) // worker.chain_block_tokens)
