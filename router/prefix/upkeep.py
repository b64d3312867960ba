"""What the shared index does by itself: watch Redis' memory, check the secret, and tell an emptied Redis what this
router still knows.

Telling is bounded in rate and gives way to new records: many routers do it at once, while requests go on.
"""

import asyncio
import logging
import re
from contextlib import suppress

from router.prefix.index import Record, State
from router.prefix.shared import SharedIndex
from router.prefix.verbs import SharedLimits
from router.shared.check import SecretCheck
from router.shared.failure import Failure, FailureKind
from router.shared.link import Link
from router.shared.script import command

LOOK_S = 2.0
"""Between two looks at the memory: what is written meanwhile may go over the limit."""
TELL_S = 0.005
"""Between two chains told."""
QUEUED = 32
"""With more records than that waiting, telling waits for them."""

USED = re.compile(rb"^used_memory:([0-9]{1,18})\r?$", re.MULTILINE)

log = logging.getLogger("warmroute")


class Upkeep:
    """Two endless tasks, for `Background`."""

    def __init__(self, index: SharedIndex, link: Link, check: SecretCheck, limits: SharedLimits) -> None:
        self.used_bytes = 0
        """Memory of the server, when last looked; 0 when it does not say."""
        self.restored = 0
        """Chains told again after Redis lost them."""
        self._index = index
        self._link = link
        self._check = check
        self._limits = limits
        self._lost = asyncio.Event()
        self._new_connection = True
        self._due = asyncio.Event()
        self._complained = False
        index.on_lost(self._lost.set)
        link.on_up.append(self._connected)

    def _connected(self) -> None:
        self._new_connection = True
        self._due.set()

    async def watch(self) -> None:
        """Look at the memory, and after each new connection at the secret."""
        while True:
            if self._link.connected:
                await self._look()
                if self._new_connection:
                    self._new_connection = await self._check.run() is None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), LOOK_S)
            self._due.clear()

    async def _look(self) -> None:
        info = await self._link.tell(command("INFO", "memory"))
        if isinstance(info, bytes):
            found = USED.search(info)
            self.used_bytes = int(found[1]) if found is not None else 0
            self._index.writer.room = self.used_bytes < self._limits.max_memory_bytes
        elif isinstance(info, Failure) and info.kind is FailureKind.DENIED and not self._complained:
            self._complained = True
            log.warning("Redis does not tell its memory (%s): redis_max_memory_bytes is not kept", info.detail)

    async def tell(self) -> None:
        """Whenever Redis has lost its data, write what this router knows, oldest first."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            before = self.restored
            residency = self._index.local.residency
            for holder in residency.holders():
                for chain in residency.chains(holder):
                    if len(self._index.batcher) > QUEUED:
                        await self._index.flush()
                    self._index.batcher.submit(Record(holder, chain, State.CONFIRMED))
                    self.restored += 1
                    await asyncio.sleep(TELL_S)
            if self.restored > before:
                log.info("told Redis %d chains that it did not have", self.restored - before)
