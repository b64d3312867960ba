"""Writes records to Redis: the shared index's sink behind the batcher.

At most `WINDOW` scripts are under way, so that a lookup never waits behind a long prompt's many slices. While there is
no connection it waits, and writes what it holds afterwards. Everything may be written twice: that only makes it newer.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable

from router.prefix.answers import Answers
from router.prefix.holders import Holders
from router.prefix.index import HASH_BYTES, Record, State
from router.prefix.pendings import Mark, Pendings
from router.prefix.tree import TreeIndex
from router.prefix.verbs import Growth, Verbs, slices
from router.shared.failure import Failure, FailureKind
from router.shared.link import Answer, Link
from router.shared.script import Command, command

WINDOW = 2
ATTEMPTS = 3
"""A record is given up after this many attempts whose connection was lost."""
RETRY_S = 0.05
AGAIN = frozenset({FailureKind.SLOW, FailureKind.DOWN, FailureKind.LOST, FailureKind.BUSY, FailureKind.MOVED})
MAX_PENDINGS = 100_000
PENDING_IDS = 1 << 48

log = logging.getLogger("warmroute")


class SharedWriter:
    """A `RecordSink`."""

    def __init__(
        self, link: Link, verbs: Verbs, holders: Holders, local: TreeIndex, draw: Callable[[int], int]
    ) -> None:
        self.room = True
        """True when Redis has memory for new blocks."""
        self.refused = 0
        """Records that Redis had no room for."""
        self.failed = 0
        """Records given up."""
        self.wake: Callable[[], None] = lambda: None
        self._link = link
        self._verbs = verbs
        self._holders = holders
        self._local = local
        self._draw = draw
        self._answers = Answers(link.counters.refused)
        self._pendings = Pendings()
        self._evictions: dict[str, None] = {}
        self._up = asyncio.Event()
        self._greeted = False
        self._closing = False
        self._complained: set[FailureKind] = set()

    def connected(self) -> None:
        """Called after each new connection."""
        self._greeted = False
        self._up.set()
        self.wake()

    def close(self) -> None:
        """From now on do not wait for a connection: records that would have to wait are lost."""
        self._closing = True
        self._up.set()

    async def apply(self, records: list[Record]) -> bool:
        """See `RecordSink`."""
        for record in records:
            if not await self._ready():
                return False
            commands = self._commands(record)  # every attempt sends the same commands: a pending id is taken only once
            for _ in range(ATTEMPTS):
                if not await self._ready():
                    return False
                if await self._write(record.holder, commands):
                    break
                self._greeted = False  # the link may not have noticed yet that its connection is gone
            else:
                self.failed += 1
        return await self._ready() and await self._chores()

    async def _ready(self) -> bool:
        """Wait for a connection, and for Redis' time. Returns False when there is none and the router stops."""
        while not (self._link.connected and self._greeted):
            if self._closing:
                return False
            if not self._link.connected:
                self._up.clear()
                await self._up.wait()
            elif not await self._greet():
                await asyncio.sleep(RETRY_S)
        return True

    async def _greet(self) -> bool:
        """Learn Redis' time, and whether it still has its data."""
        told = self._link.tell(command("TIME"))
        epoch = await self._link.tell(self._verbs.epoch())
        time = await told
        self._link.mend(epoch, self._verbs.names)
        if self._failed(time) or self._failed(epoch):
            return False
        now_s, seen = self._answers.time_s(time), self._answers.epoch(epoch)
        if now_s is None or seen is None:
            return False
        self._holders.set_server_time(now_s)
        self._holders.epoch(seen[0])
        self._greeted = True
        return True

    async def _chores(self) -> bool:
        """Write removals and capacities, and continue unfinished evictions. Returns True when something is left."""
        for holder, number in self._holders.removals():
            if self._failed(await self._link.tell(self._verbs.forget(holder, number))):
                return False
            self._pendings.forget(holder)
            self._holders.removed(holder)
        for holder, blocks in self._holders.unwritten().items():
            if not await self._set_capacity(holder, blocks):
                return False
            self._holders.capacity_written(holder)
        for holder in list(self._evictions):
            del self._evictions[holder]
            if not await self._set_capacity(holder, -1):
                return False
        return bool(self._evictions or self._holders.removals() or self._holders.unwritten())

    async def _set_capacity(self, holder: str, blocks: int) -> bool:
        answer = await self._link.tell(self._verbs.set_capacity(holder, blocks))
        if isinstance(answer, list):
            self._note(holder, answer)
        return not self._failed(answer)

    async def _write(self, holder: str, commands: list[Command]) -> bool:
        """Returns False when the connection failed and the commands must be sent again."""
        again = False
        refused = False
        for answer in await self._send(commands):
            if isinstance(answer, list):
                refused |= self._note(holder, answer)
            elif self._failed(answer):
                assert isinstance(answer, Failure)
                again |= answer.kind in AGAIN
                refused |= answer.kind is FailureKind.FULL
        self.refused += refused
        return not again

    def _note(self, holder: str, answer: Answer) -> bool:
        """Note a script's outcome. Returns True when Redis refused something."""
        outcome = self._answers.outcome(answer)
        if outcome is None or not outcome.number:
            return False
        if outcome.unfinished:
            self._evictions[holder] = None
        self._holders.written(holder, outcome)
        return outcome.refused

    def _failed(self, answer: object) -> bool:
        if not isinstance(answer, Failure):
            return False
        if answer.kind not in AGAIN and answer.kind not in self._complained:
            self._complained.add(answer.kind)
            log.warning("Redis refuses commands of the prefix index (%s): %s", answer.kind.value, answer.detail)
        return True

    async def _send(self, commands: Iterable[Command]) -> list[Answer]:
        answers: list[Answer] = []
        under_way: deque[asyncio.Future[Answer]] = deque()
        for each in commands:
            if len(under_way) >= WINDOW:
                answers.append(await under_way.popleft())
            under_way.append(self._link.tell(each))
        while under_way:
            answers.append(await under_way.popleft())
        return answers

    def _commands(self, record: Record) -> list[Command]:
        if record.state is State.PENDING:
            return self._pend(record)
        if record.state is State.CONFIRMED:
            return self._confirm(record)
        if record.state is State.DROPPED:
            return self._take_back(record.holder, record.chain)
        if len(record.tail) <= len(record.chain):
            return []
        kept = len(record.chain) // HASH_BYTES
        return [self._verbs.correct(record.holder, part, kept) for part in slices(record.tail, kept)]

    def _pend(self, record: Record) -> list[Command]:
        """Commands for the blocks that this router does not believe the holder to have: the others need no mark. If the
        holder evicts those meanwhile, routers see fewer pending blocks than there are."""
        holder, chain = record.holder, record.chain
        now_s = self._now_s()
        self._pendings.expire(now_s)
        if not chain or len(self._pendings) > MAX_PENDINGS:
            return []
        held = self._local.find(chain, (holder,)).get(holder)
        expires_s = now_s + math.ceil(self._verbs.limits.pending_ttl_s)
        mark = Mark(self._draw(PENDING_IDS - 1) + 1, held.blocks if held is not None else 0, expires_s)
        self._pendings.add(holder, chain, mark)
        if mark.from_block * HASH_BYTES >= len(chain):
            return []
        return [
            self._verbs.pend(holder, part, mark.id, expires_s, self._growth(holder))
            for part in slices(chain, mark.from_block)
        ]

    def _confirm(self, record: Record) -> list[Command]:
        holder, chain = record.holder, record.chain
        commands: list[Command] = []
        pending = 0
        if record.pended == chain:
            mark = self._pendings.take(holder, chain, self._now_s())
            pending = mark.id if mark is not None else 0
        elif record.pended:
            commands = self._take_back(holder, record.pended)
        growth = self._growth(holder)
        for part in slices(chain):
            commands.append(self._verbs.touch(holder, part, record.generated_blocks, pending, growth))
        return commands

    def _take_back(self, holder: str, chain: bytes) -> list[Command]:
        mark = self._pendings.take(holder, chain, self._now_s())
        if mark is None or mark.from_block * HASH_BYTES >= len(chain):
            return []
        return [self._verbs.drop(holder, part, mark.id) for part in slices(chain, mark.from_block)]

    def _now_s(self) -> int:
        """Redis' time, which is known after the first connection."""
        now_s = self._holders.server_time()
        assert now_s is not None
        return now_s

    def _growth(self, holder: str) -> Growth:
        return Growth(self.room, self._holders.capacity(holder))
