"""What several routers know of each other: one prefix index, one load and one book of sessions, each seen by the others
a moment later.

Every router has a view of its own. What it does itself is in its view at once; what another does arrives after the
staleness, as through a shared store. Private views never hear of each other.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from router.fleet.lease import Lease
from router.fleet.workers import Fleet
from router.prefix.index import Held, Record
from router.prefix.residency import Limits, Residency
from router.sessions.shared.fleet_book import FleetBook
from router.sessions.shared.telling import Taken

Clock = Callable[[], float]
Later = Callable[[Callable[[], None]], None]
"""Has something done once the others may know of it."""


class View:
    """One router's view of the index: the serving tree, without the queue that writes it off the hot path (which is
    emptied within a millisecond)."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._residency = Residency(limits, clock)
        self.on_record: list[Callable[[Record], None]] = []
        """Told of every record that this router makes."""

    @property
    def pendings(self) -> int:
        """PENDING records that are still open."""
        return self._residency.pendings

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> dict[str, Held]:
        """See `PrefixIndex`. Never suspends."""
        return self._residency.find(chain, also)

    def record(self, record: Record) -> None:
        """See `PrefixIndex`."""
        self.apply(record)
        for tell in self.on_record:
            tell(record)

    def apply(self, record: Record) -> None:
        """Take note of what this or another router has recorded."""
        self._residency.apply(record)
        self._residency.sweep()

    def set_capacity(self, holder: str, blocks: int) -> None:
        """See `PrefixIndex`."""
        self._residency.set_capacity(holder, blocks)

    def remove_worker(self, holder: str) -> None:
        """See `PrefixIndex`."""
        self._residency.remove_worker(holder)
        self._residency.sweep()


class Mirror:
    """Repeats one router's records and leases at another."""

    def __init__(self, view: View, fleet: Fleet, later: Later) -> None:
        self._view = view
        self._fleet = fleet
        self._later = later

    def record(self, worker_id: str, record: Record) -> None:
        """The same record, under the name that the worker has there by then."""

        def arrive() -> None:
            worker = self._fleet.workers.get(worker_id)
            if worker is not None:
                self._view.apply(record._replace(holder=worker.holder))

        self._later(arrive)

    def lease(self, worker_id: str, prompt_tokens: int, uncached_tokens: int) -> Lease:
        """A lease there that begins late. Its events must be passed on through `first_byte` and `end`."""
        lease = Lease(self._fleet.workers[worker_id], prompt_tokens, uncached_tokens)
        self._later(lambda: _ignored(lease.__enter__()))
        return lease

    def first_byte(self, lease: Lease) -> None:
        self._later(lease.first_byte)

    def end(self, lease: Lease) -> None:
        self._later(lambda: lease.__exit__(None, None, None))


class ToldBatch(NamedTuple):
    """A batch of one router's sessions."""

    router: int
    batch: bytes
    takes_room: bool
    at: float


class SharedSessions:
    """One router's end of the stream in which all routers tell what they know of sessions."""

    def __init__(self, number: int, book: FleetBook, stream: list[ToldBatch], later: Later, clock: Clock) -> None:
        self.others: list[SharedSessions] = []
        self._number = number
        self._book = book
        self._stream = stream
        self._later = later
        self._clock = clock
        self._read = 0
        self._telling = False
        book.shared = True
        book.wake, book.take = self._wake, self._take

    def beat(self) -> None:
        """Call now and then."""
        self._book.beat()
        self.hear()
        self._tell(anyway=True)

    def hear(self) -> bool:
        """What the others have told by now. Returns whether any of it takes room."""
        takes_room = False
        while self._read < len(self._stream):
            told = self._stream[self._read]
            self._read += 1
            if told.router != self._number:
                self._book.hear(f"r{told.router}", told.batch, self._clock() - told.at)
                takes_room |= told.takes_room
        return takes_room

    def _wake(self) -> None:
        if not self._telling:
            self._telling = True
            self._later(self._tell)

    def _tell(self, anyway: bool = False) -> None:
        self._telling = False
        batch = self._book.write(anyway)
        self._book.asks = False
        if batch is not None:
            self._append(batch, False)
        if self._book.unsaid:
            self._wake()

    def _append(self, batch: bytes, takes_room: bool) -> None:
        self._stream.append(ToldBatch(self._number, batch, takes_room, self._clock()))
        for other in self.others:
            self._later(partial(_heard, other))

    async def _take(self, batch: bytes) -> Taken:
        """Never suspends."""
        if self.hear():
            return Taken.NO
        self._append(batch, True)
        return Taken.YES


def _heard(end: SharedSessions) -> None:
    end.hear()


def _ignored(_: object) -> None:
    """For calls whose result is not needed."""
