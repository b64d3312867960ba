"""The prefix index that all routers share: this router's own tree beside the one in Redis.

Redis answers in one round trip what is held. The tree adds what this router has pending and Redis may not know yet, and
answers alone whenever Redis is slow or gone. What must not be broken: `match` never raises and never waits longer than
the link's deadline; a removed holder is not matched again, even before Redis has been told.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from router.observe.instruments import Counter
from router.prefix.answers import Answers, Match
from router.prefix.batcher import RecordBatcher
from router.prefix.holders import Holders
from router.prefix.index import HASH_BYTES, Held, Record, State
from router.prefix.lookup import DEEPEST
from router.prefix.tree import TreeIndex
from router.prefix.verbs import Verbs
from router.prefix.writer import SharedWriter
from router.shared.failure import DOWN, Failure, FailureKind
from router.shared.link import Link

LEARNED = 2
"""Number of holders in an answer that the tree learns from: the deepest ones, which decide."""
FALLBACKS = {FailureKind.SLOW: "redis_slow", FailureKind.OPEN: "redis_slow", FailureKind.FULL: "redis_full"}


class SharedParts(NamedTuple):
    """The parts of a shared index."""

    local: TreeIndex
    link: Link
    verbs: Verbs
    holders: Holders
    writer: SharedWriter
    fallbacks: Counter
    """Lookups answered without Redis, by reason."""


class SharedIndex:
    """A `PrefixIndex`. Use as `async with`, inside the link's."""

    def __init__(self, parts: SharedParts, clock: Callable[[], float], report: Callable[[BaseException], None]) -> None:
        self.local = parts.local
        self.writer = parts.writer
        self.fallbacks = parts.fallbacks
        self._link = parts.link
        self._verbs = parts.verbs
        self._holders = parts.holders
        self._answers = Answers(parts.link.counters.refused)
        self.batcher = RecordBatcher(parts.writer, clock, report, max_queued=4_000)
        parts.writer.wake = self.batcher.wake
        parts.link.on_up.append(parts.writer.connected)
        self._holders.on_forgotten.append(self.local.remove_worker)

    async def __aenter__(self) -> Self:
        await self.local.__aenter__()
        await self.batcher.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.close()
        await self.batcher.__aexit__(kind, error, traceback)
        await self.local.__aexit__(kind, error, traceback)

    def on_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when Redis has lost, or never had, what this router knows."""
        self._holders.on_lost.append(callback)

    @property
    def refused(self) -> int:
        """Records that were refused here or in Redis because there was no room."""
        return self.local.refused + self.batcher.refused + self.writer.refused

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> Mapping[str, Held]:
        """See `PrefixIndex`. One round trip, or the local answer."""
        if not chain:
            return {}
        now_s = self._holders.server_time()
        answer = DOWN if now_s is None else await self._link.ask(self._verbs.match(chain, now_s, also))
        known = self.local.find(chain, also)
        matched = None if isinstance(answer, Failure) else self._answers.match(answer)
        if matched is None:
            kind = answer.kind if isinstance(answer, Failure) else FailureKind.INVALID
            self.fallbacks.add(1, (FALLBACKS.get(kind, f"redis_{kind.value}"),))
            return known
        return self._merged(chain, matched, known, also)

    def _merged(self, chain: bytes, matched: Match, known: Mapping[str, Held], also: Sequence[str]) -> dict[str, Held]:
        """Redis' answer, and what only this router knows to be pending. No holder holds more than the chain."""
        found: dict[str, Held] = {}
        self._holders.epoch(matched.epoch)
        most = len(chain) // HASH_BYTES
        for holder, blocks, reach, number in matched.holders:
            if self._holders.seen(holder, number):
                found[holder] = Held(min(blocks, most), min(max(blocks, reach), most))
        self._learn(chain, found, known)
        for holder, held in known.items():
            if held.pending_blocks > held.blocks and (holder in found or holder in also or len(found) < DEEPEST):
                shared = found.get(holder, Held(0, 0))
                found[holder] = Held(shared.blocks, max(shared.pending_blocks, held.pending_blocks))
        return found

    def _learn(self, chain: bytes, found: Mapping[str, Held], known: Mapping[str, Held]) -> None:
        """Keep the tree warm with what others recorded: the deepest come first."""
        for holder, held in list(found.items())[:LEARNED]:
            if held.blocks and (holder not in known or known[holder].blocks < held.blocks):
                self.local.record(Record(holder, chain[: held.blocks * HASH_BYTES], State.CONFIRMED))

    def record(self, record: Record) -> None:
        """See `PrefixIndex`."""
        self.local.record(record)
        if self._link.connected or record.state is not State.PENDING:
            self.batcher.submit(record)  # a PENDING record of now would be out of date after an outage

    def set_capacity(self, holder: str, blocks: int) -> None:
        """See `PrefixIndex`."""
        self.local.set_capacity(holder, blocks)
        if self._holders.set_capacity(holder, blocks):
            self.batcher.wake()

    def remove_worker(self, holder: str) -> None:
        """See `PrefixIndex`."""
        self.batcher.withdraw(holder)
        self.local.remove_worker(holder)
        self._holders.remove(holder)
        self.batcher.wake()

    async def flush(self) -> None:
        """Wait until everything recorded so far is in the tree and, if it can be reached, in Redis."""
        await self.local.flush()
        written = asyncio.ensure_future(self.batcher.flush())
        while self._link.connected and not written.done():
            await asyncio.wait([written], timeout=0.05)
        written.cancel()
