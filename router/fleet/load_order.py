"""Workers in order of requests in flight, kept up to date at every lease, so that finding the least loaded few costs
the same for 8 workers and for 1,000.
"""

from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LoadOrder(Generic[Item]):
    """Buckets of items by a small count. All changes are O(1); iteration starts at the least loaded.

    Within a bucket the item that moved there last comes last, so equal workers take turns.
    """

    __slots__ = ("_buckets", "_lowest")

    def __init__(self) -> None:
        self._buckets: list[dict[Item, None]] = [{}]
        self._lowest = 0

    def add(self, item: Item, count: int) -> None:
        """Put `item`, which is not in the order, into the bucket of `count` (0 or more)."""
        buckets = self._buckets
        while len(buckets) <= count:
            buckets.append({})
        buckets[count][item] = None
        self._lowest = min(self._lowest, count)

    def move(self, item: Item, before: int, after: int) -> None:
        """Move `item` from the bucket of `before`, if it is there, to the end of that of `after`."""
        buckets = self._buckets
        if before < len(buckets):
            buckets[before].pop(item, None)
        while len(buckets) <= after:
            buckets.append({})
        buckets[after][item] = None
        if after < self._lowest:
            self._lowest = after

    def lowest(self, count: int) -> list[Item]:
        """The `count` least loaded items, or all of them when there are fewer."""
        buckets = self._buckets
        while self._lowest < len(buckets) - 1 and not buckets[self._lowest]:
            self._lowest += 1
        found: list[Item] = []
        for index in range(self._lowest, len(buckets)):
            found.extend(islice(buckets[index], count - len(found)))
            if len(found) >= count:
                break
        return found
