"""Carries the book of sessions between routers: a stream in Redis, which each router reads on and writes to at once.

One call does both, so whoever takes room learns in it whether another router has taken any. A router that has missed
something (it has just started, Redis was away or was emptied) forgets what the others had told, asks them to tell all,
and tells all itself. What must not be broken: only what a router of this deployment has signed counts; requests wait
for what they ask for as long as the link lets them, and without Redis not at all.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from router.sessions.shared.batch import MAX_BATCH_BYTES, BadBatchError
from router.sessions.shared.fleet_book import FleetBook
from router.sessions.shared.telling import Taken
from router.shared.failure import LOST, Failure
from router.shared.keys import Keys
from router.shared.link import Answer, Link
from router.shared.publishing import LiveRouters, Publisher, Receiver
from router.shared.script import read_script
from router.shared.seal import Seal

GATHER_S, QUICK_GATHER_S = 0.05, 0.005
"""Changes within this many seconds go out together; the second while turns wait for room. Danger: with more, a short
answer's next turn may come to another router before that one knows of the answer."""
POLL_S, QUICK_POLL_S = 0.1, 0.025
"""Seconds between two readings, at most, where there are other routers; the second likewise."""
BEAT_S = 1.0
"""Each router tells something at least this often, and reads while it knows of no other."""
FRESH_S = 0.002
"""What was read within this many seconds is not read again."""
STALE_S = 1.0
"""After this many seconds without an answer this router admits into its share of the memory alone."""
SETTLE_S = 1.5
"""And for so long after it has asked the others to tell all."""
MAX_ENTRIES: Final = 64
"""Batches in one answer."""
MAX_ANSWER_BYTES: Final = 4 << 20
KEPT_ENTRIES: Final = 4096
STREAM_TTL_MS: Final = 60_000
ID = re.compile(rb"(\d{1,20})-(\d{1,20})")
NAME = re.compile(rb"[0-9A-Za-z]{1,32}")
Position = tuple[int, int]

EXCHANGE = read_script("router.sessions.shared", "exchange_batch")


class StreamEntry(NamedTuple):
    """A batch in the stream, not yet verified."""

    id: Position
    router: str
    raw: bytes


class StreamNews(NamedTuple):
    """What one call has answered."""

    first: Position | None
    """The oldest entry that is kept."""
    position: bytes
    written: bool
    """The batch that the call brought is in the stream."""
    more: bool
    entries: list[StreamEntry]


class BookExchange:
    """This router's end of it."""

    def __init__(
        self, place: tuple[Link, Keys], seal: Seal, live: LiveRouters, book: FleetBook,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.book = book
        book.wake, book.take, book.read = self._wake, self._take, self._read
        self._link, self._keys = place
        self._publisher = Publisher(seal, live.name)
        self._receiver = Receiver(seal, self._link.counters.refused, "sessions", MAX_BATCH_BYTES)
        self._live = live
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._position = b""
        self._telling = False
        self._timer: asyncio.TimerHandle | None = None
        self._reading: asyncio.Future[Answer] | None = None
        self._read_at = self._told_at = self._unanswered_since = clock()
        self._cut_off = False
        self._settles_at = clock() + SETTLE_S

    def _read(self) -> "asyncio.Future[Answer] | None":
        if self._reading is not None and not self._reading.done():
            return self._reading
        if not self._link.responsive or self._clock() - self._read_at < FRESH_S:
            return None
        self._reading = self._call(b"", urgent=True)
        return self._reading

    async def run(self) -> None:
        """Tell and read for ever."""
        while True:
            self._look()
            await asyncio.sleep(self._poll_s if self.book.shared or self.book.asks else BEAT_S)

    @property
    def _poll_s(self) -> float:
        return QUICK_POLL_S if self.book.crowded else POLL_S

    def _look(self) -> None:
        self.book.shared = bool(self._live.names) or bool(self.book.routers)
        self._judge()
        self.book.beat()
        if self.book.shared:
            self.book.admission.end_leases()
        self._tell(self._clock() - self._told_at >= BEAT_S)

    def _judge(self) -> None:
        """How much of the memory is this router's to give?"""
        now = self._clock()
        silent = not self._link.connected or self._unanswered_since > self._read_at
        if silent and now - max(self._unanswered_since, self._read_at) > STALE_S and not self._cut_off:
            self._cut_off = True
            self._start_anew()
        settled = not self._cut_off and bool(self._position) and now >= self._settles_at
        self.book.admission.share = 1.0 if settled else 1 / (1 + len(self._live.names))

    def _start_anew(self) -> None:
        """Something was missed."""
        self._position, self.book.asks = b"", True
        self._settles_at = self._clock() + SETTLE_S
        self.book.lose()
        self.book.tell_all()

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(QUICK_GATHER_S if self.book.crowded else GATHER_S, self._tell)

    def _tell(self, anyway: bool = False) -> None:
        """Write what is new here, and read what is new elsewhere. One such call at a time is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._telling or not self._link.connected or self._live.now_ms() is None:
            return
        book, now = self.book, self._clock()
        body = book.write(anyway and book.shared) if book.shared or book.asks else None
        if body is None and not anyway and now - self._read_at < self._poll_s:
            return
        self._told_at = now if body is not None or anyway else self._told_at
        self._telling = True
        self._call(body or b"", asks=book.asks).add_done_callback(self._told)

    def _told(self, done: "asyncio.Future[Answer]") -> None:
        self._telling = False
        answered = not done.cancelled() and not isinstance(done.result(), Failure)
        if answered and self.book.unsaid:
            self._wake()

    async def _take(self, body: bytes) -> Taken:
        if self._cut_off or not self._link.responsive or self._live.now_ms() is None:
            return Taken.UNSURE
        call = self._call(body, takes=True, urgent=True)
        await asyncio.wait((call,))  # a cancelled request must not cancel what is read
        news = _news(call.result())
        return Taken.UNSURE if news is None else Taken.YES if news.written else Taken.NO

    def _call(
        self, body: bytes, takes: bool = False, urgent: bool = False, asks: bool = False
    ) -> "asyncio.Future[Answer]":
        keys, name = self._keys, self._live.name
        text = self._publisher.write(body, self._live.now_ms() or 0) if body else b""
        bounds = MAX_ENTRIES, MAX_BATCH_BYTES + 64, MAX_ANSWER_BYTES, KEPT_ENTRIES, STREAM_TTL_MS
        words = EXCHANGE(keys.sessions, name, self._position, text, int(takes), *bounds)
        if self._unanswered_since <= self._read_at:
            self._unanswered_since = self._clock()
        call = self._link.ask(words) if urgent else self._link.tell(words)
        call.add_done_callback(partial(self._have_read, self._position, asks))
        return call

    def _have_read(self, position: bytes, asks: bool, done: "asyncio.Future[Answer]") -> None:
        answer = LOST if done.cancelled() else done.result()
        self._link.mend(answer, self._keys.sessions)
        news, now_ms = _news(answer), self._live.now_ms()
        if news is None or now_ms is None:
            return
        self._read_at, self._cut_off = self._clock(), False
        if asks and news.written:
            self.book.asks = False
        if position != self._position and not (position and self._position):
            return  # asked before something was missed, or while it was
        if position not in (b"", b"0-0") and not _follows(news, _id(position)):
            self._start_anew()
            self._tell()
            return
        for entry in news.entries:
            if entry.id > _id(self._position):
                self._hear(entry, now_ms)
        self._position = max(self._position, news.position, key=_id)
        if news.more:
            self._wake()

    def _hear(self, entry: StreamEntry, now_ms: int) -> None:
        published = self._receiver.read(entry.router, entry.raw, now_ms)
        if published is None:
            return
        try:
            self.book.hear(entry.router, published.body, max(0, now_ms - published.date_ms) / 1000)
        except BadBatchError:
            self._link.counters.refused.add(1, ("sessions",))


def _follows(news: StreamNews, position: Position) -> bool:
    """Nothing is missing between the position and the news, and the stream is the one in which it was."""
    return news.first is not None and news.first <= position <= _id(news.position)


def _id(text: bytes) -> Position:
    found = ID.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _news(answer: Answer) -> StreamNews | None:
    """The answer, if it is one."""
    if not isinstance(answer, list) or len(answer) < 4 or (len(answer) - 4) % 3:
        return None
    first, position, written, more = answer[:4]
    if not isinstance(first, bytes) or not isinstance(position, bytes) or not ID.fullmatch(position):
        return None
    entries = [
        StreamEntry(_id(each), router.decode(), raw)
        for each, router, raw in zip(answer[4::3], answer[5::3], answer[6::3], strict=True)
        if isinstance(each, bytes) and isinstance(raw, bytes) and isinstance(router, bytes) and NAME.fullmatch(router)
    ]
    return StreamNews(_id(first) if first else None, position, written == 1, more == 1, entries)
