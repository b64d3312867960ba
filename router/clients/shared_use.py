"""What clients use through other routers: limits are the fleet's, not each router's.

Every router tells what each client has taken through it since it started, in one signed string, and charges its own
buckets with what the others have told since. So each bucket is the whole fleet's, as of a moment ago; what is overdrawn
meanwhile is owed, and paid back. What must not be broken: no request waits for this, and without Redis each router goes
on with what it knows itself. Who can write to Redis cannot use up a client's limits: strings are signed and numbered.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from router.clients.client import Client
from router.clients.directory import Clients
from router.shared.keys import USE_TTL_S, Keys
from router.shared.link import Link
from router.shared.publishing import Publisher, Receiver
from router.shared.script import command
from router.shared.seal import Seal

BEAT_S = 0.2
"""Between two tellings while something is used."""
IDLE_BEATS = 5
"""A router through which nothing is used tells and reads only every so many beats."""
GAP_S = 5.0
"""Who was not heard for so long is heard anew: what it took meanwhile is charged to nobody, so that an outage is not
paid for after it."""
NEW_COUNTS = 25
"""Who has told so few times has just started, and all that it took is news."""
KEPT_S = 60.0
"""What a router told last is kept so long: who was silent meanwhile is known not to have just started."""
MAX_USE_BYTES = 1 << 18

Row = tuple[int, int, int]
"""Requests and uncached tokens that were taken, ever, and requests in flight."""
NOTHING: Row = (0, 0, 0)
Rows = dict[int, Row]
"""By the client's number."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What another router told last."""

    at: float
    rows: Mapping[int, Row]


class LiveRouters(Protocol):
    """Knows which routers live, and the time that all of them go by."""

    @property
    def name(self) -> str:
        """This router's."""

    @property
    def names(self) -> list[str]:
        """The others'."""

    def now_ms(self) -> int | None:
        """None before it is known."""


class SharedUse:
    """This router's part."""

    def __init__(
        self, clients: Clients, routers: LiveRouters, place: tuple[Link, Keys], seal: Seal, clock: Callable[[], float]
    ) -> None:
        self._clients = clients
        self._routers = routers
        self._link, self._keys = place
        self._seal = seal
        self._publisher = Publisher(seal, routers.name)
        self._receiver = Receiver(seal, self._link.counters.refused, "use", MAX_USE_BYTES)
        self._clock = clock
        self._numbers: dict[str, int] = {}
        self._heard: dict[str, Heard] = {}
        self._told: dict[int, Row] = {}
        self._idle = 0
        self._read_at = float("-inf")

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.beat()

    async def beat(self) -> None:
        """Tell and read, if there is a reason to."""
        limited = {self._number(client): client for client in self._clients.all if client.limited}
        rows = {number: client.taken for number, client in limited.items() if client.taken != NOTHING}
        self._idle = 0 if rows != self._told else self._idle + 1
        now_ms = self._routers.now_ms()
        if limited and self._link.connected and self._idle % IDLE_BEATS == 0 and now_ms is not None:
            self._told = rows
            self._tell(rows, now_ms)
            await self._read(limited, now_ms)
        self._count_elsewhere(limited)

    def _tell(self, rows: Mapping[int, Row], now_ms: int) -> None:
        raw = self._publisher.write(msgspec.msgpack.encode(rows), now_ms)
        self._link.tell(command("SET", self._keys.use(self._routers.name), raw, "EX", USE_TTL_S))

    async def _read(self, limited: Mapping[int, Client], now_ms: int) -> None:
        names = self._routers.names
        keys = [self._keys.use(name) for name in names]
        answers = await self._link.tell(command("MGET", *keys)) if keys else []
        self._link.mend(answers, *keys)
        if not isinstance(answers, list) or len(answers) != len(names):
            return
        now = self._clock()
        whole = now - self._read_at <= GAP_S
        self._read_at = now
        for told in self._receiver.news(names, answers, now_ms):
            try:
                rows = msgspec.msgpack.decode(told.body, type=Rows)
            except msgspec.DecodeError:
                self._link.counters.refused.add(1, ("use",))
                continue
            known = self._heard.get(told.router)
            self._heard[told.router] = Heard(now, rows)
            if whole and (told.number <= NEW_COUNTS if known is None else now - known.at <= GAP_S):
                _charge(limited, rows, known.rows if known is not None else {})

    def _count_elsewhere(self, limited: Mapping[int, Client]) -> None:
        """Requests in flight through routers that were heard lately."""
        now = self._clock()
        self._heard = {name: heard for name, heard in self._heard.items() if now - heard.at <= KEPT_S}
        lately = [heard.rows for heard in self._heard.values() if now - heard.at <= GAP_S]
        for number, client in limited.items():
            client.elsewhere = sum(rows.get(number, NOTHING)[2] for rows in lately)

    def _number(self, client: Client) -> int:
        number = self._numbers.get(client.label)
        if number is None:
            number = self._numbers[client.label] = number_of(self._seal, client.label)
        return number


def number_of(seal: Seal, label: str) -> int:
    """A client's number, the same on every router: labels are not told."""
    return int.from_bytes(seal.name(label.encode(), 8))


def _charge(limited: Mapping[int, Client], rows: Mapping[int, Row], before: Mapping[int, Row]) -> None:
    """Charge what another router let through since it told last. A count of requests that fell is of a client that its
    keys file dropped and named again."""
    for number, (requests, tokens, _) in rows.items():
        client = limited.get(number)
        known = before.get(number, NOTHING)
        if client is not None and requests >= known[0]:
            client.take_elsewhere(requests - known[0], tokens - known[1])
