"""Which of several routers listens to which worker: a lease in Redis for each, renewed each second.

When a router ends, another takes its leases within `LIFE_MS`. A lease is a hint: without Redis, or where two routers
believe to have it, each listens and the index hears everything twice.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from router.shared.keys import Keys
from router.shared.link import Link
from router.shared.script import read_script

LIFE_MS = 4000
AT_ONCE = 64
"""Leases in one call at most: they take some 100 us of Redis' time."""
LEASES = read_script("router.kv_events", "leases")


class Leases(Protocol):
    """Says which workers are this router's to listen to."""

    async def mine(self, workers: Sequence[str]) -> set[str]:
        """Those of these ids that this router listens to. Never raises."""
        ...


class Alone:
    """A router without others listens to all."""

    async def mine(self, workers: Sequence[str]) -> set[str]:
        """See Leases."""
        return set(workers)


class SharedLeases:
    """Leases in Redis. `name` is this router's."""

    def __init__(self, link: Link, keys: Keys, name: str) -> None:
        self._link = link
        self._keys = keys
        self._name = name

    async def mine(self, workers: Sequence[str]) -> set[str]:
        """See Leases. Where Redis is away, this router listens to all."""
        found: set[str] = set()
        for start in range(0, len(workers), AT_ONCE):
            ids = workers[start : start + AT_ONCE]
            answer = await self._link.tell(LEASES(self._keys.events, self._name, LIFE_MS, *ids))
            has = answer if isinstance(answer, bytes) and len(answer) == len(ids) else b"1" * len(ids)
            found.update(_chosen(ids, has))
        return found


def _chosen(ids: Sequence[str], has: bytes) -> Iterable[str]:
    return (worker for worker, one in zip(ids, has, strict=True) if one == ord("1"))
