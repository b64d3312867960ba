"""The prefix index in memory: the only index of a process without Redis, and the fall-back when the shared one fails.

What must not be broken: PENDING is in the tree before `record` returns, so that a burst of one new prompt sees itself;
the other states go through the batcher. Counts make that order harmless: a queued DROPPED takes back one PENDING, old
or new.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from router.prefix.batcher import RecordBatcher
from router.prefix.index import Held, Record, State
from router.prefix.residency import Limits, Residency


class TreeIndex:
    """A `PrefixIndex`. Use as `async with`: the batcher runs inside."""

    def __init__(self, limits: Limits, clock: Callable[[], float], report: Callable[[BaseException], None]) -> None:
        self.residency = Residency(limits, clock)
        self.batcher = RecordBatcher(self, clock, report)

    async def __aenter__(self) -> Self:
        await self.batcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.batcher.__aexit__(kind, error, traceback)

    @property
    def refused(self) -> int:
        """Records refused because the tree or the queue was full."""
        return self.residency.tree.refused + self.batcher.refused

    def find(self, chain: bytes, also: Sequence[str] = ()) -> dict[str, Held]:
        """`match` for callers without an event loop."""
        return self.residency.find(chain, also)

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> dict[str, Held]:
        """See `PrefixIndex`. Never suspends."""
        return self.find(chain, also)

    def record(self, record: Record) -> None:
        """See `PrefixIndex`."""
        if record.state is State.PENDING:
            self.residency.apply(record)
        else:
            self.batcher.submit(record)

    def set_capacity(self, holder: str, blocks: int) -> None:
        """See `PrefixIndex`."""
        self.residency.set_capacity(holder, blocks)
        self.batcher.wake()

    def remove_worker(self, holder: str) -> None:
        """See `PrefixIndex`. Records still queued for the holder are forgotten too."""
        self.batcher.withdraw(holder)
        self.residency.remove_worker(holder)
        self.batcher.wake()

    async def flush(self) -> None:
        """Wait until everything recorded so far is in the tree and postponed work is done."""
        await self.batcher.flush()

    async def apply(self, records: list[Record]) -> bool:
        """The batcher's sink. Never suspends."""
        for record in records:
            self.residency.apply(record)
        return self.residency.sweep()
