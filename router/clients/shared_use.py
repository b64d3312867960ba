"""What clients use through other routers: a limit holds for all routers together, not for each of them.

Every router publishes what each client has taken through it since it started, in one signed string, and charges its own
buckets with what the others have published since. So each bucket counts for the whole fleet, as of a moment ago; what
is overdrawn meanwhile is a debt that is paid back. What must not be broken: no request waits for this, and without
Redis each router goes on with what it knows itself. Write access to Redis does not allow to use up a client's limits:
strings are signed and numbered.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from router.clients.client import Client
from router.clients.directory import Clients
from router.shared.keys import USE_TTL_S, Keys
from router.shared.link import Link
from router.shared.publishing import LiveRouters, Publisher, Receiver
from router.shared.script import command
from router.shared.seal import Seal

BEAT_S = 0.2
"""Seconds between two strings while clients use something."""
IDLE_BEATS = 5
"""A router through which nothing is used publishes and reads only once in this many beats."""
GAP_S = 5.0
"""After this many seconds of silence a router is read as if it were new: what clients took through it meanwhile is not
charged, so that they do not pay for an outage afterwards."""
NEW_COUNTS = 25
"""A router that has published at most this many strings has just started, and everything taken through it is
charged."""
KEPT_S = 60.0
"""A router's last string is kept for this many seconds: after a silence it is known not to have just started."""
MAX_USE_BYTES = 1 << 18

Row = tuple[int, int, int]
"""Requests and uncached tokens taken since the start, and requests in flight."""
NOTHING: Row = (0, 0, 0)
Rows = dict[int, Row]
"""Rows by the client's number."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What another router published last."""

    at: float
    rows: Mapping[int, Row]


class SharedUse:
    """This router's part in it."""

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
        self._published: dict[int, Row] = {}
        self._idle = 0
        self._read_at = float("-inf")

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.beat()

    async def beat(self) -> None:
        """Publish and read, if there is a reason to."""
        limited = {self._number(client): client for client in self._clients.all if client.limited}
        rows = {number: client.taken for number, client in limited.items() if client.taken != NOTHING}
        self._idle = 0 if rows != self._published else self._idle + 1
        now_ms = self._routers.now_ms()
        if limited and self._link.connected and self._idle % IDLE_BEATS == 0 and now_ms is not None:
            self._published = rows
            self._publish(rows, now_ms)
            await self._read(limited, now_ms)
        self._count_elsewhere(limited)

    def _publish(self, rows: Mapping[int, Row], now_ms: int) -> None:
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
        for news in self._receiver.news(names, answers, now_ms):
            try:
                rows = msgspec.msgpack.decode(news.body, type=Rows)
            except msgspec.DecodeError:
                self._link.counters.refused.add(1, ("use",))
                continue
            known = self._heard.get(news.router)
            self._heard[news.router] = Heard(now, rows)
            if whole and (news.number <= NEW_COUNTS if known is None else now - known.at <= GAP_S):
                _charge(limited, rows, known.rows if known is not None else {})

    def _count_elsewhere(self, limited: Mapping[int, Client]) -> None:
        """Count the requests in flight through routers that published lately."""
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
    """A client's number, the same on every router: labels are not published."""
    return int.from_bytes(seal.name(label.encode(), 8))


def _charge(limited: Mapping[int, Client], rows: Mapping[int, Row], before: Mapping[int, Row]) -> None:
    """Charge what another router let through since it published last. A count of requests falls when that router's keys
    file dropped a client and named it again."""
    for number, (requests, tokens, _) in rows.items():
        client = limited.get(number)
        known = before.get(number, NOTHING)
        if client is not None and requests >= known[0]:
            client.take_elsewhere(requests - known[0], tokens - known[1])
