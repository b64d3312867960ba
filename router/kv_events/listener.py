"""One source, from its batches to what the router is told: the order of batches, what counts of them, and the ledgers.

No sockets here. What must not be broken: after a new process, or where batches are lost for good, the ledgers begin
anew, so nothing is taken to be held or absent by a history with a hole.
"""

from collections import Counter, deque
from collections.abc import Iterable

from router.kv_events.batches import BatchReader, Cleared, Event, Removed
from router.kv_events.ledger import FullLedgerError, Ledger
from router.kv_events.stream import Sign, Step, Stream
from router.kv_events.wire import MAX_TALK_BYTES, EventSource, News
from tokenizer_cache.conversations.chain import Chain

MAX_UNTOLD = 100_000
"""Chains that wait to be told at most; with more the worker is simulated again. Danger: without a bound, an engine that
makes prompts up fills the memory."""


class Listener:
    """What one source's batches come to. Its caller has the sockets and the clock."""

    def __init__(self, source: EventSource, secret: bytes) -> None:
        self.source = source
        self.stream = Stream(repeats=bool(source.repeats))
        self._counts: Counter[str] = Counter()
        self._reader = BatchReader(self._counts)
        chain = Chain(source.cell_bytes, secret)
        self._ledgers = [Ledger(chain, root, self._counts) for root in source.roots]
        self._cleared = False
        self._untold: deque[tuple[bool, bytes]] = deque()
        """Chains in the order of what became of them, and whether they are held now."""
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

    def news(self, most: int) -> list[News]:
        """What the router does not know yet, in messages of a bounded size. They tell at most `most` chains: the others
        follow at the next calls."""
        self._look()
        state = (self.stream.complete, len(self._ledgers[0]))
        if state == self._told and not (self._counts or self._cleared or self._untold):
            return []
        self._told = state
        found = [self._message(cleared=self._cleared, counts=dict(self._counts), **self._cut(most))]
        while self._untold and (most := most - len(found[-1].lost) - len(found[-1].held)) > 0:
            found.append(self._message(**self._cut(most)))
        self._cleared = False
        self._counts.clear()
        return found

    def _look(self) -> None:
        try:
            for ledger in self._ledgers:
                changes = ledger.changes()
                self._untold += [(False, chain) for chain in changes.lost]
                self._untold += [(True, chain) for chain in changes.held]
        except FullLedgerError:
            self._simulate_again()
        if len(self._untold) > MAX_UNTOLD:
            self._simulate_again()

    def _cut(self, most: int) -> dict[str, list[bytes]]:
        """Take the first chains that make up one message: all lost, or all held."""
        taken, size, held = list[bytes](), 0, bool(self._untold) and self._untold[0][0]
        while self._untold and self._untold[0][0] is held and len(taken) < most and size < MAX_TALK_BYTES:
            taken.append(self._untold.popleft()[1])
            size += len(taken[-1])
        return {"held" if held else "lost": taken}

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
        """Give the worker's ledgers up: it has more than is known at most."""
        self._counts["full"] += 1
        self.stream.complete = False
        self._begin_anew(cleared=False)

    def _begin_anew(self, cleared: bool) -> None:
        """Without `cleared` the router goes on to believe what it does: what is unknown is not absent."""
        for ledger in self._ledgers:
            ledger.clear()
        self._untold.clear()
        self._cleared = self._cleared or cleared
