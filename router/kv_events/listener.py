"""One source, from its batches to what the router is told: the order of batches, what counts of them, and the ledgers.

No sockets here. What must not be broken: after a new process, or where batches are lost for good, the ledgers begin
anew, so nothing is taken to be held or absent by a history with a hole.
"""

from collections import Counter
from collections.abc import Iterable

from router.kv_events.batches import BatchReader, Cleared, Event, Removed
from router.kv_events.ledger import FullLedgerError, Ledger
from router.kv_events.stream import Sign, Step, Stream
from router.kv_events.wire import MAX_TALK_BYTES, EventSource, News
from tokenizer_cache.conversations.chain import Chain


class Listener:
    """One source's. Its caller has the sockets and the clock."""

    def __init__(self, source: EventSource, secret: bytes) -> None:
        self.source = source
        self.stream = Stream(repeats=bool(source.repeats))
        self._counts: Counter[str] = Counter()
        self._reader = BatchReader(self._counts)
        chain = Chain(source.cell_bytes, secret)
        self._ledgers = [Ledger(chain, root, self._counts) for root in source.roots]
        self._cleared = False
        self._lost: list[bytes] = []
        self._held: list[bytes] = []
        self._told: tuple[bool, int] | None = None

    def take(self, steps: Iterable[Step]) -> None:
        """Apply batches in their order."""
        for step in steps:
            if isinstance(step, bytes):
                self._counts["batches"] += 1
                for event in self._reader.read(step):
                    self._apply(event)
            else:
                self._counts[step.value] += 1
                self._begin_anew(step is Sign.RESTARTED)

    def news(self) -> list[News]:
        """What the router does not know yet, in messages of a bounded size."""
        try:
            for ledger in self._ledgers:
                changes = ledger.changes()
                self._lost += changes.lost
                self._held += changes.held
        except FullLedgerError:
            self._simulate_again()
        state = (self.stream.complete, len(self._ledgers[0]))
        if state == self._told and not (self._counts or self._cleared or self._lost or self._held):
            return []
        self._told = state
        found = [self._message(cleared=self._cleared, lost=_cut(self._lost), counts=dict(self._counts))]
        while self._lost:
            found.append(self._message(lost=_cut(self._lost)))
        while self._held:
            found.append(self._message(held=_cut(self._held)))
        self._cleared = False
        self._counts.clear()
        return found

    def _message(self, **what: object) -> News:
        known = len(self._ledgers[0])
        return News(key=self.source.key, complete=self.stream.complete, blocks=known, **what)  # type: ignore[arg-type]

    def _apply(self, event: Event) -> None:
        if isinstance(event, Cleared):
            self._counts["cleared"] += 1
            self._begin_anew(cleared=True)
            self.stream.complete = True  # it holds nothing, so all of it is known
            return
        self._counts["removed" if isinstance(event, Removed) else "stored"] += len(event.hashes)
        try:
            for ledger in self._ledgers:
                ledger.apply(event)
        except FullLedgerError:
            self._simulate_again()

    def _simulate_again(self) -> None:
        """It has more than is known at most."""
        self._counts["full"] += 1
        self.stream.complete = False
        self._begin_anew(cleared=False)

    def _begin_anew(self, cleared: bool) -> None:
        """Without `cleared` the router goes on to believe what it does: what is unknown is not absent."""
        for ledger in self._ledgers:
            ledger.clear()
        self._lost.clear()
        self._held.clear()
        self._cleared = self._cleared or cleared


def _cut(chains: list[bytes]) -> list[bytes]:
    """Take the first chains that make up one message."""
    size = count = 0
    while count < len(chains) and size < MAX_TALK_BYTES:
        size += len(chains[count])
        count += 1
    taken = chains[:count]
    del chains[:count]
    return taken
