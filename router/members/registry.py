"""Keeps this router's book and Redis equal, and makes the fleet follow the book.

Twice a second all entries are read. Newer entries are taken over; entries that are missing, old or forged in Redis are
written from the book. An empty registry means nothing: no worker is ever removed because its entry is missing.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router.fleet.worker import Worker
from router.fleet.workers import DuplicateWorkerError, UnknownWorkerError
from router.members.book import MAX_AHEAD_S, MAX_ENTRIES, TOMB_S, Book, EntryOutcome
from router.members.entry import MAX_ENTRY_BYTES, BadEntryError, Entry, Standing, read_entry, write_entry
from router.members.membership import Membership
from router.observe.instruments import Counter
from router.shared.failure import INVALID
from router.shared.keys import Keys
from router.shared.link import Answer, Link
from router.shared.script import command, read_script
from router.shared.seal import Seal

LOOK_S = 0.4
"""Seconds between two readings."""
SPREAD_S = 1.0
"""Seconds after which every router knows a decision."""
MAX_NEWS = 2_000
"""Entries judged in one reading, about 5 us each; the next reading takes the rest."""
START_S = 10.0
"""An entry that is found within this many seconds of the start was decided before the start, whatever its date says."""
QUIET = frozenset({EntryOutcome.ACCEPTED, EntryOutcome.KNOWN})
WORKER = re.compile(rb"w-[0-9a-f]{10}")
PUT = read_script("router.members", "put_entry")
log = logging.getLogger("warmroute")


@dataclass(frozen=True, slots=True)
class Shelf:
    """The place in Redis where the entries lie."""

    link: Link
    keys: Keys
    seal: Seal
    outcomes: Counter
    """Counts the entries that were read, by outcome."""


class Registry:
    """This router's part of the registry. `clock` is the wall clock; `listed` are ids of workers that the settings
    name."""

    def __init__(
        self, shelf: Shelf, book: Book, members: Membership, clock: Callable[[], float], listed: frozenset[str]
    ) -> None:
        self._shelf = shelf
        self._book = book
        self._members = members
        self._clock = clock
        self._listed = listed
        self._started_at = clock()
        self._looked = False
        self._seen: dict[str, bytes] = {}
        self._followed: dict[str, tuple[int, Worker]] = {}
        self._orders: dict[str, tuple[int, int]] = {}
        """The order of every signed entry that was read, by worker, whether this router believes it or not."""
        self._woken = asyncio.Event()
        shelf.link.on_up.append(self._woken.set)

    def decide(self, worker: Worker, standing: Standing, added: bool = False) -> None:
        """Publish an operator's decision, which is carried out here already."""
        now = self._clock()
        self._book.decide(Entry(worker.id, worker.url, standing, added, int(now * 1e6), int(now)))
        self._woken.set()

    async def run(self) -> None:
        """Read and write for ever."""
        while True:
            await self.look()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def look(self) -> None:
        """Read all entries once, follow them, and correct wrong ones in Redis."""
        link, key = self._shelf.link, self._shelf.keys.workers
        there = await link.tell(command("HGETALL", key)) if link.connected else None
        link.mend(there, key)
        raws = self._raws(there)
        if raws is None:
            return
        changed = [worker for worker, raw in raws.items() if self._seen.get(worker) != raw]
        for worker in changed[MAX_NEWS:]:
            del raws[worker]
        refused = [worker for worker in changed[:MAX_NEWS] if not self._read(worker, raws[worker])]
        if refused:
            log.warning("%d entries of the shared registry are refused, the first %.40r", len(refused), refused[0])
        forged = [worker for worker in refused if worker not in self._orders]
        self._take_out(forged)
        for worker in forged:
            del raws[worker]
        self._seen, self._looked = raws, True
        self._book.renew(self._clock())
        self._follow()
        for entry in self._book:
            if entry.worker not in raws or entry.order > self._orders.get(entry.worker, (0, 0)):
                self._put(entry, raws.get(entry.worker, b""))

    def _raws(self, there: Answer) -> dict[str, bytes] | None:
        """The entries in Redis, by worker. Fields that are no worker's id are deleted."""
        if not isinstance(there, list) or len(there) % 2 or not all(isinstance(each, bytes) for each in there):
            return None
        if len(there) > 2 * MAX_ENTRIES:
            self._shelf.link.mend(INVALID, self._shelf.keys.workers)
            return None
        raws: dict[str, bytes] = {}
        wrong: list[bytes] = []
        for worker, raw in zip(there[::2], there[1::2], strict=True):
            if WORKER.fullmatch(worker) and len(raw) <= MAX_ENTRY_BYTES:
                raws[worker.decode()] = raw
            else:
                wrong.append(worker)
        if wrong:
            self._shelf.link.counters.refused.add(len(wrong), ("registry",))
        self._take_out(wrong)
        return raws

    def _take_out(self, workers: Sequence[str | bytes]) -> None:
        """Delete entries that no router of this deployment wrote. Missing ones are then written again from the book."""
        if workers:
            self._shelf.link.tell(command("HDEL", self._shelf.keys.workers, *workers))

    def _read(self, worker: str, raw: bytes) -> bool:
        """Judge an entry if it is new. Returns False when it is refused."""
        self._orders.pop(worker, None)
        try:
            entry = read_entry(self._shelf.seal, worker, raw)
        except BadEntryError as error:
            self._shelf.outcomes.add(1, (str(error),))
            return False
        self._orders[worker] = entry.order
        verdict = self._book.accept(worker, entry, self._clock())
        if verdict is not EntryOutcome.KNOWN:
            self._shelf.outcomes.add(1, (verdict.value,))
        if verdict is EntryOutcome.ACCEPTED and entry.standing is Standing.REMOVED:
            self._remove(entry)
        return verdict in QUIET

    def _put(self, entry: Entry, there: bytes) -> None:
        """Replace the entry that was read (`there`). If Redis holds another one by now, the next reading takes it."""
        life_ms = int(TOMB_S * 1000)
        put = PUT(self._shelf.keys.workers, entry.worker, write_entry(self._shelf.seal, entry), there, life_ms)
        self._shelf.link.tell(put)

    def _remove(self, entry: Entry) -> None:
        """Remove the worker once, when the removal is first known: discovery may add it again later. A worker of the
        settings comes back with a restart."""
        if entry.worker in self._listed and self._precedes(entry):
            return
        try:
            self._members.leave(entry.worker)
        except UnknownWorkerError:
            return
        log.info("worker %s was removed through another router", entry.worker)

    def _precedes(self, entry: Entry) -> bool:
        """Was it decided before this router started? The routers' clocks differ, so a date near the start does not
        decide it."""
        decided_at = entry.version / 1e6
        if self._looked:
            return decided_at < self._started_at - MAX_AHEAD_S
        return decided_at < self._started_at or self._clock() - self._started_at < START_S

    def _follow(self) -> None:
        """Make the fleet follow the book. Each decision is applied once for each worker, because discovery may drain it
        too."""
        fleet = self._members.fleet
        for entry in self._book:
            if entry.standing is Standing.REMOVED:
                continue
            if entry.worker not in fleet.workers and entry.added:
                self._join(entry)
            worker = fleet.workers.get(entry.worker)
            if worker is not None and self._followed.get(entry.worker) != (entry.version, worker):
                self._followed[entry.worker] = entry.version, worker
                fleet.drain(entry.worker, entry.standing is Standing.DRAINING)

    def _join(self, entry: Entry) -> None:
        try:
            self._members.join(entry.url, "admin")
        except DuplicateWorkerError:
            return
        log.info("worker %s was added through another router", entry.worker)
