"""The ids of the PENDING records that this router has in Redis, so that each record is taken back by its own id.

What must not be broken: a record that has expired here has expired in Redis too, so it is never taken back in place of
a younger one of the same chain. Times are seconds of Redis' clock.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

from router.prefix.index import HASH_BYTES

SLICE = 64
"""Expired ids that are forgotten with each new one: about 1 us each."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One PENDING record, as Redis knows it. Compared by identity."""

    id: int
    from_block: int
    """The record is in the segments from this block on; in none where this is the chain's end."""
    expires_s: int


class Pendings:
    """Marks by holder and chain, the oldest first. Changed by the writer alone."""

    def __init__(self) -> None:
        self._by_chain: dict[tuple[str, bytes], deque[Mark]] = {}
        self._chains: OrderedDict[Mark, tuple[str, bytes]] = OrderedDict()
        """The mark that expires soonest comes first."""

    def __len__(self) -> int:
        return len(self._chains)

    def add(self, holder: str, chain: bytes, mark: Mark) -> None:
        """Remember a mark. Marks must be added in the order in which they expire."""
        key = holder, chain[-HASH_BYTES:]
        self._by_chain.setdefault(key, deque()).append(mark)
        self._chains[mark] = key

    def take(self, holder: str, chain: bytes, now_s: int) -> Mark | None:
        """The oldest mark of exactly this chain that has not expired; it is forgotten."""
        key = holder, chain[-HASH_BYTES:]
        while (mark := self._pop(key)) is not None:
            if mark.expires_s > now_s:
                return mark
        return None

    def expire(self, now_s: int) -> None:
        """Forget marks that have expired, a bounded number at a time."""
        for _ in range(SLICE):
            key = next(iter(self._chains.values()), None)
            if key is None or self._by_chain[key][0].expires_s > now_s:
                break
            self._pop(key)

    def forget(self, holder: str) -> None:
        """Forget all marks of one holder."""
        for key in [key for key in self._by_chain if key[0] == holder]:
            for mark in self._by_chain.pop(key):
                del self._chains[mark]

    def _pop(self, key: tuple[str, bytes]) -> Mark | None:
        same = self._by_chain.get(key)
        if same is None:
            return None
        mark = same.popleft()
        del self._chains[mark]
        if not same:
            del self._by_chain[key]
        return mark
