"""What a router tells the others under its own name, again and again: signed, numbered and dated.

Who can write to Redis can keep such a string and put it back, later or in another order. So of each router only higher
numbers are taken, and only while their date is near: it is by Redis' own clock, since those of routers may differ. What
must not be broken: a string is good for `NEAR_MS`, and once. One that has not changed costs a comparison.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from router.observe.instruments import Counter
from router.shared.seal import MAC_BYTES, Seal

NEAR_MS: Final = 5_000
"""A date may be so far from now. A router whose idea of Redis' clock is farther off counts as gone until it has learned
better, which is at its next writing."""
MAX_ROUTERS: Final = 128
"""More are not read."""
HEAD: Final = struct.Struct(">QQ")
"""Date (ms) and number."""


class Teller:
    """This router's end. `name` is its own for as long as it lives."""

    def __init__(self, seal: Seal, name: str) -> None:
        self._seal = seal
        self._place = name.encode()
        self._number = 0

    def write(self, body: bytes, now_ms: int) -> bytes:
        """The next string: no two are the same."""
        self._number += 1
        return self._seal.write(self._place, HEAD.pack(now_ms, self._number) + body)


class Told(NamedTuple):
    """What a router told."""

    router: str
    number: int
    body: bytes


class Hearer:
    """The others' end. Counts what it refuses as `kind`, or `kind`_old where it was good once."""

    def __init__(self, seal: Seal, refused: Counter, kind: str, limit: int) -> None:
        self._seal = seal
        self._refused = refused
        self._kind = kind
        self._limit = limit + MAC_BYTES + HEAD.size
        self._seen: dict[str, object] = {}
        """What was there last, by router."""
        self._heads: dict[str, tuple[int, int]] = {}
        """Date and number of what was taken last, by router, while an older string could still pass for new."""

    def news(self, routers: Sequence[str], raws: Sequence[object], now_ms: int) -> Iterator[Told]:
        """What these routers told since they were read last."""
        seen, self._seen = self._seen, dict(zip(routers, raws, strict=True))
        for router, raw in self._seen.items():
            if raw is not None and raw != seen.get(router):
                told = self._read(router, raw, now_ms)
                if told is not None:
                    yield told

    def _read(self, router: str, raw: object, now_ms: int) -> Told | None:
        told = self._seal.read(router.encode(), raw, self._limit)
        if told is None or len(told) < HEAD.size:
            self._refused.add(1, (self._kind,))
            return None
        date, number = HEAD.unpack_from(told)
        if abs(date - now_ms) > NEAR_MS or number <= self._heads.get(router, (0, 0))[1]:
            self._refused.add(1, (f"{self._kind}_old",))
            return None
        self._heads[router] = date, number
        if len(self._heads) > MAX_ROUTERS:
            self._heads = {each: head for each, head in self._heads.items() if abs(head[0] - now_ms) <= 2 * NEAR_MS}
        return Told(router, number, told[HEAD.size :])
