"""Makes the metrics page for all who ask for it, and the status: nobody needs a key for the first, or for both, and
making them takes CPU time from requests.

Two pages are never made at once, and between two of them others have the time of three. Who asks while a page is made
gets that one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

REST = 3.0
"""Times the last page's own time, until the next one is begun."""


class OnePage:
    """`make` makes one."""

    def __init__(
        self,
        make: Callable[[], Awaitable[bytes]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        name: str = "metrics",
    ) -> None:
        self._make = make
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._making: asyncio.Task[bytes] | None = None
        self._rests_until = clock()

    async def page(self) -> bytes:
        """The page, for one who asks now. Raises what `make` raises."""
        making = self._making
        if making is None or making.done():
            making = self._making = asyncio.create_task(self._next(), name=f"{self._name} page")
        return await asyncio.shield(making)

    async def _next(self) -> bytes:
        if (wait_s := self._rests_until - self._clock()) > 0:
            await self._sleep(wait_s)
        began = self._clock()
        try:
            return await self._make()
        finally:
            ended = self._clock()
            self._rests_until = ended + REST * (ended - began)
