"""At which address a worker's KV events are listened to: ZMQ would look its name up by itself, and call what it finds.

So the name is looked up here, as for every other connection to a worker, and ZMQ is given an address that the
allow-list grants.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from yarl import URL

AGAIN_S = 30.0
"""A name is looked up again after this many seconds."""
LOOK_S = 5.0
"""A look-up that takes longer has failed."""
LookUp = Callable[[str, int], Awaitable[list[str]]]
"""The addresses that may be dialled for a host and port. Raises OSError when there is none."""


class _FoundAddress(NamedTuple):
    address: str
    asked_at: float


NOWHERE = _FoundAddress("", 0.0)


class HostAddresses:
    """By worker's URL."""

    def __init__(self, look_up: LookUp, clock: Callable[[], float] = time.monotonic) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, _FoundAddress] = {}

    async def of(self, urls: Iterable[str]) -> dict[str, str]:
        """The address of each; those that have none that may be called are left out. Never raises."""
        wanted, now = dict.fromkeys(urls), self._clock()
        self._known = {url: known for url, known in self._known.items() if url in wanted}
        late = [url for url in wanted if url not in self._known or now - self._known[url].asked_at >= AGAIN_S]
        found = await asyncio.gather(*(self._ask(url) for url in late))
        self._known.update({url: _FoundAddress(address, now) for url, address in zip(late, found, strict=True)})
        return {url: known.address for url, known in self._known.items() if known.address}

    async def _ask(self, url: str) -> str:
        """The one that was known, unless others are found; empty for none."""
        before, parts = self._known.get(url, NOWHERE), URL(url)
        try:
            async with asyncio.timeout(LOOK_S):
                addresses = await self._look_up(parts.raw_host or "", parts.port or 0)
        except (OSError, TimeoutError):
            return before.address
        return before.address if before.address in addresses else addresses[0]
