"""What a router publishes for the others under its own name, again and again: signed, numbered and dated.

A program that can write to Redis can keep such a string and put it back, later or in another order. So each router's
strings are taken only with a higher number than before, and only while their date is near. The date is by Redis' clock,
because the routers' clocks may differ. What must not be broken: a string is good once, and for `NEAR_MS`. An unchanged
string costs one comparison.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from router.observe.instruments import Counter
from router.shared.seal import MAC_BYTES, Seal

NEAR_MS: Final = 5_000
"""A date may differ from now by this much. A router whose estimate of Redis' clock is farther off counts as gone until
its next write corrects the estimate."""
MAX_ROUTERS: Final = 128
"""Further routers are not read."""
HEAD: Final = struct.Struct(">QQ")
"""Date (ms) and number."""


class LiveRouters(Protocol):
    """Knows which routers are alive, and the clock that all of them use."""

    @property
    def name(self) -> str:
        """This router's."""

    @property
    def names(self) -> list[str]:
        """The others that live; while Redis is away, those that lived last."""

    def now_ms(self) -> int | None:
        """Milliseconds of that clock; None while it is not known."""


class Publisher:
    """The writing side. `name` is this router's for as long as it lives."""

    def __init__(self, seal: Seal, name: str) -> None:
        self._seal = seal
        self._place = name.encode()
        self._number = 0

    def write(self, body: bytes, now_ms: int) -> bytes:
        """The next string; no two are equal."""
        self._number += 1
        return self._seal.write(self._place, HEAD.pack(now_ms, self._number) + body)


class Published(NamedTuple):
    """What a router published."""

    router: str
    number: int
    date_ms: int
    """By Redis' clock."""
    body: bytes


class Receiver:
    """The reading side. Counts a refused string as `kind`, or as `kind`_old where it was good once."""

    def __init__(self, seal: Seal, refused: Counter, kind: str, limit: int) -> None:
        self._seal = seal
        self._refused = refused
        self._kind = kind
        self._limit = limit + MAC_BYTES + HEAD.size
        self._seen: dict[str, object] = {}
        """The last string seen, by router."""
        self._heads: dict[str, tuple[int, int]] = {}
        """Date and number of the last string taken, by router, for as long as an older string could pass for new."""

    def news(self, routers: Sequence[str], raws: Sequence[object], now_ms: int) -> Iterator[Published]:
        """What these routers published since they were read last."""
        seen, self._seen = self._seen, dict(zip(routers, raws, strict=True))
        for router, raw in self._seen.items():
            if raw is not None and raw != seen.get(router):
                published = self.read(router, raw, now_ms)
                if published is not None:
                    yield published

    def read(self, router: str, raw: object, now_ms: int) -> Published | None:
        """What it says, if it was not read before; None, counted, for what does not count."""
        opened = self._seal.read(router.encode(), raw, self._limit)
        if opened is None or len(opened) < HEAD.size:
            self._refused.add(1, (self._kind,))
            return None
        date, number = HEAD.unpack_from(opened)
        if abs(date - now_ms) > NEAR_MS or number <= self._heads.get(router, (0, 0))[1]:
            self._refused.add(1, (f"{self._kind}_old",))
            return None
        self._heads[router] = date, number
        if len(self._heads) > MAX_ROUTERS:
            self._heads = {each: head for each, head in self._heads.items() if abs(head[0] - now_ms) <= 2 * NEAR_MS}
        return Published(router, number, date, opened[HEAD.size :])
