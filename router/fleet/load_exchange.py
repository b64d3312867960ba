"""Writes this router's part and reads the others'. No request waits for writing; reading shares the round trip of the
request's index match.

What must not be broken: one writing at a time is under way, so that a slow server is not flooded; what is read is
shared by requests, so that a request that is cancelled cancels nothing; and only what a router of this deployment has
signed counts.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from functools import partial

from router.fleet.load_part import MAX_PART_BYTES, BadPartError, OwnPart, number_of
from router.fleet.others import LIFE_S, Others
from router.fleet.worker import Worker
from router.shared.keys import Keys
from router.shared.link import Answer, Link
from router.shared.publishing import MAX_ROUTERS, Publisher, Receiver
from router.shared.script import command, read_script
from router.shared.seal import Seal

BEAT_S = 1.0
"""Seconds between two writes, and two reads, of an idle router."""
GATHER_S = 0.005
"""Changes within this many seconds go out together."""
FRESH_S = 0.002
"""Parts that were read within this many seconds are not read again."""
ORDER_S = 0.05
"""Seconds between two updates of the order of workers by load; candidates' own loads are always current."""

MAX_STRING_BYTES = MAX_PART_BYTES + 64
MAX_PARTS_BYTES = 4 << 20
"""Bytes of all routers' parts together: a reply must stay below the bounds of the link."""
MAX_TIME_MS = 1 << 50
NAME = re.compile(rb"[0-9A-Za-z]{1,32}")

WRITE = read_script("router.fleet", "write_part")


class LoadExchange:
    """This router's end of the exchange. `name` is this router's for as long as it lives, and no other's."""

    def __init__(self, link: Link, keys: Keys, name: str, seal: Seal, clock: Callable[[], float]) -> None:
        self.others = Others(clock)
        self._publisher = Publisher(seal, name)
        self._receiver = Receiver(seal, link.counters.refused, "load", MAX_PART_BYTES)
        self._link = link
        self._keys = keys
        self._name = name
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._own = OwnPart()
        self._workers: dict[int, Worker] = {}
        self._queued: set[Worker] = set()
        self._names: list[str] = []
        self._time_offset: float | None = None
        self._reading: asyncio.Future[Answer] | None = None
        self._read_at = 0.0
        self._writing = False
        self._again = False
        self._write_timer: asyncio.TimerHandle | None = None
        self._order_timer: asyncio.TimerHandle | None = None
        link.on_up.append(self._write)

    @property
    def name(self) -> str:
        """This router's name, for as long as it lives."""
        return self._name

    @property
    def names(self) -> list[str]:
        """How many other routers live."""
        return self._names

    def now_ms(self) -> int | None:
        """Redis' time in milliseconds; None before Redis has answered. The routers' own clocks may differ."""
        return None if self._time_offset is None else max(0, int((self._clock() + self._time_offset) * 1000))

    @property
    def routers(self) -> int:
        """How many routers live, this one included."""
        return 1 + self.others.routers

    def attach(self, worker: Worker) -> None:
        """Count this worker's leases, and tell it what others have there."""
        number = number_of(worker.id)
        worker.elsewhere = lambda now: self.others.of(number, worker.prefill_rate, now)
        worker.on_load = self._changed
        worker.set_elsewhere(self.others.total(number))

    def list_workers(self, workers: Iterable[Worker]) -> None:
        """List the workers of the fleet anew: it has changed."""
        self._workers = {number_of(worker.id): worker for worker in workers}
        self._own.list_workers(self._workers)
        self._queued.intersection_update(self._workers.values())
        for worker in self._workers.values():
            if worker.running.in_flight:
                self._changed(worker)

    def refresh(self) -> "asyncio.Future[Answer] | None":
        """Ask for the others' parts, together with what else is asked in this turn of the loop. The future is shared:
        wait for it, do not await it. None when the known parts are new enough, or when no other router or no Redis can
        be asked."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        if not self._names or not self._link.responsive or self._clock() - self._read_at < FRESH_S:
            return None
        reading = self._link.ask(command("MGET", *map(self._keys.load, self._names)))
        reading.add_done_callback(partial(self._have_read, tuple(self._names)))
        self._reading = reading
        return reading

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self._write()
            await asyncio.sleep(BEAT_S)
            self.refresh()
            self.others.expire()
            self._settle()

    async def leave(self) -> None:
        """Take this router's part away at once: it ends."""
        if self._link.connected:
            self._link.tell(command("ZREM", self._keys.routers, self._name))
            await self._link.tell(command("DEL", self._keys.load(self._name)))

    def _changed(self, worker: Worker) -> None:
        """A lease began, was computed or ended there."""
        self._put(worker, self._clock())
        if worker.running.queued_tokens:
            self._queued.add(worker)
        else:
            self._queued.discard(worker)
        if self._write_timer is None:
            self._write_timer = self._loop.call_later(GATHER_S, self._write)

    def _put(self, worker: Worker, now: float) -> None:
        running = worker.running
        ahead = running.ahead(now, worker.prefill_rate)
        self._own.put(number_of(worker.id), running.in_flight, ahead, running.held_tokens)

    def _write(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if not self._link.connected:
            return
        if self._writing:
            self._again = True
            return
        now = self._clock()
        for worker in self._queued:
            self._put(worker, now)
        self._writing, self._again = True, False
        keys, name = self._keys, self._name
        part = self._publisher.write(self._own.pack(), self.now_ms() or 0)
        bounds = MAX_ROUTERS, MAX_STRING_BYTES, MAX_PARTS_BYTES
        call = WRITE(keys.routers, name, round(LIFE_S * 1000), part, keys.loads, keys.uses, *bounds)
        self._link.tell(call).add_done_callback(self._written)

    def _written(self, done: "asyncio.Future[Answer]") -> None:
        """Learn which routers are alive, and Redis' time."""
        self._writing = False
        answer = None if done.cancelled() else done.result()
        if isinstance(answer, list) and answer and isinstance(answer[0], int) and 0 <= answer[0] < MAX_TIME_MS:
            first = self._time_offset is None
            self._time_offset = answer[0] / 1000 - self._clock()
            names = [name for name in answer[1:] if isinstance(name, bytes) and NAME.fullmatch(name)]
            self._names = [name.decode() for name in names[:MAX_ROUTERS]]
            self._again |= first  # what was written had no date yet
        if self._again:
            self._write()

    def _have_read(self, names: tuple[str, ...], done: "asyncio.Future[Answer]") -> None:
        raws, now_ms = None if done.cancelled() else done.result(), self.now_ms()
        self._link.mend(raws, *map(self._keys.load, names))
        if not isinstance(raws, list) or len(raws) != len(names) or now_ms is None:
            return
        self._read_at = self._clock()
        for told in self._receiver.news(names, raws, now_ms):
            try:
                self.others.hear(told.router, told.body)
            except BadPartError:
                self._link.counters.refused.add(1, ("load",))
        self.others.keep(name for name, raw in zip(names, raws, strict=True) if raw is not None)
        if self._order_timer is None:
            self._order_timer = self._loop.call_later(ORDER_S, self._settle)

    def _settle(self) -> None:
        if self._order_timer is not None:
            self._order_timer.cancel()
            self._order_timer = None
        for number, total in self.others.settle().items():
            worker = self._workers.get(number)
            if worker is not None:
                worker.set_elsewhere(total)
