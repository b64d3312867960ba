"""Makes the fleet follow all sources together.

A worker that no source names any more is drained at once, and removed when it is idle and `leave_s` seconds have
passed. Until then the index keeps its blocks, in case it comes back. Only workers that joined through a source are
touched.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from router.dial.allow import NotAllowedError, parse_worker_url
from router.fleet.worker import Worker
from router.fleet.workers import DuplicateWorkerError
from router.members.membership import Membership
from router.members.source import Source, WorkerSpec

SWEEP_S = 1.0
MAX_COMPLAINTS = 1000
log = logging.getLogger("warmroute")


@dataclass(slots=True, eq=False)
class _Found:
    """A worker that joined through a source."""

    worker: Worker
    spec: WorkerSpec
    drained: bool = False
    """True if the reconciler drained it, and so may put it back into service. A worker that an operator drained stays
    drained."""
    left_at: float | None = None


class Feed:
    """The last answers of one source. It is the source's `Findings`."""

    def __init__(self, source: Source, changed: Callable[[], None], clock: Callable[[], float]) -> None:
        self.source = source
        self.specs: dict[str, WorkerSpec] = {}
        self.updates = 0
        self.failures = 0
        self.refused = 0
        """Workers of the last set that the allow-list does not allow."""
        self.good_at = clock()
        """When the source last answered; before its first answer, the time of the start."""
        self._changed = changed
        self._clock = clock
        self._problem = ""

    def found(self, specs: Iterable[WorkerSpec]) -> None:
        """Take a new full set."""
        self.unchanged()
        before, self.specs = self.specs, {spec.url: spec for spec in map(_canonical, specs)}
        self.updates += 1
        if before != self.specs:
            log.info("%s names %d workers", self.source.name, len(self.specs))
            self._changed()

    def unchanged(self) -> None:
        """Note that the set has not changed."""
        self.good_at = self._clock()
        if self._problem:
            log.info("%s answers again", self.source.name)
            self._problem = ""

    def failed(self, reason: str) -> None:
        """Note a failure; the last set stays."""
        self.failures += 1
        if reason != self._problem:
            self._problem = reason
            log.warning("%s: %s; its last %d workers stay", self.source.name, reason, len(self.specs))


def _canonical(spec: WorkerSpec) -> WorkerSpec:
    """The spec with its canonical URL. A URL that cannot be read is left as it is, and refused later."""
    try:
        return replace(spec, url=parse_worker_url(spec.url).url)
    except NotAllowedError:
        return spec


LEAVE_S = 30.0
"""Seconds for which a worker that left its sources is remembered with what is known of its cache: a name server that
restarts, or a readiness probe that failed once, brings it back sooner. It gets no requests meanwhile."""


class Reconciler:
    """Adds, drains, restores and removes workers."""

    def __init__(
        self,
        members: Membership,
        sources: Iterable[Source],
        clock: Callable[[], float],
        leave_s: float,
        roles: Iterable[str] = (),
    ) -> None:
        """`roles`: take only workers of these roles; with no roles, take all."""
        self._members = members
        self._clock = clock
        self._leave_s = leave_s
        self._roles = frozenset(roles)
        self._found: dict[str, _Found] = {}
        self._complained: set[str] = set()
        self.feeds = [Feed(source, self.follow, clock) for source in sources]

    @property
    def leaving(self) -> int:
        """Workers that no source names any more and that are not removed yet."""
        return sum(found.left_at is not None for found in self._found.values())

    async def run(self) -> None:
        """Remove, for ever, workers that have left and are idle."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.follow()

    def follow(self) -> None:
        """Make the fleet equal to the sources' sets. Changes nothing when it already is."""
        wanted = self._wanted()
        for url, found in list(self._found.items()):
            if self._members.fleet.workers.get(found.worker.id) is not found.worker:
                del self._found[url]  # an operator removed it
            elif url not in wanted or self._replaced(found, wanted[url][0]):
                self._leave(url, found, url in wanted)
        for url, (spec, feeds) in wanted.items():
            found_before = self._found.get(url)
            if found_before is not None:
                self._keep(found_before, spec)
            elif not spec.draining:
                self._join(spec, feeds)

    def _wanted(self) -> dict[str, tuple[WorkerSpec, list[Feed]]]:
        wanted: dict[str, tuple[WorkerSpec, list[Feed]]] = {}
        for feed in self.feeds:
            feed.refused = 0
            for url, spec in feed.specs.items():
                if self._roles and spec.labels.role not in self._roles:
                    continue
                if url in wanted:
                    wanted[url][1].append(feed)
                else:
                    wanted[url] = (spec, [feed])
        return wanted

    @staticmethod
    def _replaced(found: _Found, spec: WorkerSpec) -> bool:
        return found.spec.generation != spec.generation

    def _join(self, spec: WorkerSpec, feeds: list[Feed]) -> None:
        """Add a worker, through the first source that is allowed to name it."""
        reason = ""
        for feed in feeds:
            try:
                worker = self._members.join(spec.url, feed.source.name, feed.source.implied)
            except NotAllowedError as error:
                feed.refused += 1
                reason = str(error)
            except DuplicateWorkerError:
                return
            else:
                self._found[spec.url] = _Found(worker, spec)
                self._members.fleet.label(worker.id, spec.labels)
                return
        self._complain(spec.url, feeds[0].source.name, reason)

    def _keep(self, found: _Found, spec: WorkerSpec) -> None:
        """Update a worker, and put it back into service if it had left."""
        found.left_at = None
        self._drain(found, spec.draining)
        if found.spec.labels != spec.labels:
            self._members.fleet.label(found.worker.id, spec.labels)
        found.spec = spec

    def _drain(self, found: _Found, draining: bool) -> None:
        if draining and not found.worker.draining:
            found.drained = True
            self._members.fleet.drain(found.worker.id)
        elif not draining and found.drained:
            found.drained = False
            self._members.fleet.drain(found.worker.id, draining=False)

    def _leave(self, url: str, found: _Found, replaced: bool) -> None:
        """Drain a worker that left. A replaced one is removed at once: another worker has its address."""
        now = self._clock()
        if found.left_at is None:
            found.left_at = now
            log.info("worker %s is no longer named by any source: drained", found.worker.id)
            self._drain(found, True)
        busy = any(rank.running.in_flight for rank in found.worker.ranks)
        if replaced or (now >= found.left_at + self._leave_s and not busy):
            del self._found[url]
            self._members.leave(found.worker.id)

    def _complain(self, url: str, source: str, reason: str) -> None:
        """Log each refused worker once: sources repeat themselves."""
        if url not in self._complained and len(self._complained) < MAX_COMPLAINTS:
            self._complained.add(url)
            log.warning("%s names %r, which is refused: it %s", source, url[:200], reason)
