"""The background work of the shared index: it watches Redis' memory, checks the secret, and writes what this router
knows to a Redis that lost its data.

That writing is bounded in rate and gives way to new records: many routers do it at once, while requests go on.
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
"""Seconds between two looks at the memory: what is written meanwhile may go over the limit."""
REFILL_S = 0.005
"""Seconds between two chains that are written."""
QUEUED = 32
"""When more records than this wait, the chains wait for them."""

USED = re.compile(rb"^used_memory:([0-9]{1,18})\r?$", re.MULTILINE)

log = logging.getLogger("warmroute")


class Upkeep:
    """Two endless tasks, for `Background`."""

    def __init__(self, index: SharedIndex, link: Link, check: SecretCheck, limits: SharedLimits) -> None:
        self.used_bytes = 0
        """Memory of the server at the last look; 0 when it does not say."""
        self.restored = 0
        """Chains written again after Redis lost them."""
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
        """Look at the memory, and after each new connection compare the secret."""
        while True:
            if self._link.connected:
                await self._look()
                if self._new_connection:
                    self._new_connection = await self._check.run() is None
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._due.wait()
            self._due.clear()

    async def _look(self) -> None:
        info = await self._link.tell(command("INFO", "memory"))
        if isinstance(info, bytes):
            found = USED.search(info)
            self.used_bytes = int(found[1]) if found is not None else 0
            self._index.writer.room = self.used_bytes < self._limits.max_memory_bytes
        elif isinstance(info, Failure) and info.kind is FailureKind.DENIED and not self._complained:
            self._complained = True
            log.warning("Redis does not report its memory (%s): redis_max_memory_bytes is not enforced", info.detail)

    async def refill(self) -> None:
        """Write what this router knows, oldest first, whenever Redis has lost its data."""
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
                    await asyncio.sleep(REFILL_S)
            if self.restored > before:
                log.info("wrote %d chains to Redis that it had lost", self.restored - before)
