"""A prefix index that is timed: the same contract, wrapped around any other."""

import time
from collections.abc import Mapping, Sequence

from router.observe.instruments import Histogram
from router.prefix.index import Held, PrefixIndex


class TimedIndex:
    """See `PrefixIndex`: everything is passed on, and `match` is timed."""

    def __init__(self, index: PrefixIndex, seconds: Histogram) -> None:
        self._index = index
        self._seconds = seconds.series()
        self.record = index.record
        self.set_capacity = index.set_capacity
        self.remove_worker = index.remove_worker

    async def match(self, chain: bytes, also: Sequence[str] = ()) -> Mapping[str, Held]:
        """See `PrefixIndex`."""
        began = time.perf_counter()
        found = await self._index.match(chain, also)
        self._seconds.observe(time.perf_counter() - began)
        return found
