"""Adds workers to the fleet and removes them: it asks the allow-list first, then has the worker probed.

All code that adds workers (settings, admin API, discovery, other routers) does it here; nothing else calls `Fleet.add`.
"""

from functools import partial

from router.dial.allow import AllowList, Implied
from router.engines.probe import Prober
from router.fleet.worker import Worker
from router.fleet.workers import Fleet


class Membership:
    """Adds and removes workers. Each worker is probed from the moment it is added until it is removed."""

    def __init__(self, fleet: Fleet, allow: AllowList, prober: Prober) -> None:
        self.fleet = fleet
        self._allow = allow
        self._prober = prober

    def join(self, url: str, source: str, implied: Implied | None = None) -> Worker:
        """Add a worker, which gets requests once a probe has found it healthy. `source` says what named it. Raises
        NotAllowedError and DuplicateWorkerError."""
        worker = self.fleet.add(self._allow.check(url, implied))
        worker.source = source
        worker.on_suspect = partial(self._prober.look_soon, worker.id)
        self._prober.watch(worker.id, worker.url)
        return worker

    def leave(self, worker_id: str) -> Worker:
        """Remove a worker, and with it the other ranks of its server; running requests finish. Raises
        UnknownWorkerError."""
        worker = self.fleet.remove(worker_id)
        self._prober.unwatch(worker.id)
        return worker
