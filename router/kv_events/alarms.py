"""What is wrong with a worker's cache, or with what is told of it: said in the log once, in a metric, and at /ready."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from router.fleet.worker import Worker
from router.kv_events.follower import HeardWorker, computed_by

LOOK_S = 5.0
SILENT_S = 30.0
"""Silence alone says nothing: engines publish only what changes."""
SILENT_TOKENS = 8192
"""An engine that has computed this many prompt tokens since its last batch has stored blocks, and should have said
so."""
WORDS = {
    "caching_off": "its prefix cache is switched off",
    "no_hits": "predicted hits do not come: another tokenizer or template, a balancer at its URL, or no cache",
    "block_size": "its KV events name blocks that do not fit into the router's: they are left out",
    "events_stopped": "it computes prompts, and its KV events have stopped",
}
"""Each alarm, for the log."""

log = logging.getLogger("warmroute")


class Alarms:
    """Looks at all workers. `heard`: those that this router listens to, by id."""

    def __init__(
        self,
        workers: Callable[[], Mapping[str, Worker]],
        heard: Mapping[str, HeardWorker],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._heard = heard
        self._clock = clock

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Set each worker's alarms, and log what has changed."""
        for worker in list(self._workers().values()):
            found = alarms_of(worker, self._heard.get(worker.id), self._clock())
            for kind in sorted(found - worker.alarms):
                log.warning("worker %s (%s): %s", worker.url, worker.id, WORDS[kind])
            for kind in sorted(worker.alarms - found):
                log.info("worker %s (%s): no longer so: %s", worker.url, worker.id, WORDS[kind])
            worker.alarms = found


def alarms_of(worker: Worker, heard: HeardWorker | None, now: float) -> frozenset[str]:
    """What is wrong with this worker now."""
    holds = {
        "caching_off": worker.facts is not None and not worker.pool.caches,
        "no_hits": worker.hits.none_come,
        "block_size": heard is not None and heard.counts["block_size"] > 0,
        "events_stopped": heard is not None and _stopped(worker, heard, now),
    }
    return frozenset(kind for kind, wrong in holds.items() if wrong)


def _stopped(worker: Worker, heard: HeardWorker, now: float) -> bool:
    return now - heard.heard_at > SILENT_S and computed_by(worker) - heard.computed_then >= SILENT_TOKENS
