"""Whether an engine has dropped its cache without restarting (a reset, sleep), told from hits that do not come.

A wrong prediction and an ordinary eviction look the same, so one miss says nothing. What must not be broken: no one
client can make a worker's prefixes be forgotten where clients have keys; and what its pool may have evicted is no
evidence. An engine keeps what was used last, so a prompt's start that was used there, and since which less was written
than a quarter of what then fitted, must still be cached.
"""

from collections import OrderedDict
from typing import NamedTuple

MISSES = 3
"""This many misses, each of another start (and of another client, where clients have keys), mean that the cache is
lost."""
MIN_PREDICTED_TOKENS = 512
"""Smaller predictions may miss by an engine's block."""
ROOM_PARTS = 4
"""The tokens written since must fit this many times into the room: LRU order and the room are known only roughly."""
MAX_STARTS = 128
"""Starts remembered per worker, at about 250 bytes."""


class CacheReport(NamedTuple):
    """What an engine said of one prompt, and what was predicted of it."""

    start: bytes
    """Hash of the prompt's first block."""
    start_tokens: int
    """Length of that block."""
    client: str
    """The client's label; empty where there are no keys."""
    predicted_tokens: int
    cached_tokens: int
    written_tokens: int
    """Tokens that were computed for it, and are now in the KV pool."""
    chain: bytes = b""
    """All of the prompt's blocks; empty where its tokens are not known exactly."""
    computed_tokens: int = 0
    """Tokens of the prompt that were not cached."""
    alone_s: float = 0.0
    """Seconds to its first token, if it had the worker to itself until then; else 0."""


class _Touch(NamedTuple):
    """One use of a prompt's start on the worker."""

    number: int
    """How many requests had been reported by then."""
    written: int
    """Tokens that had been written into the KV pool by then."""
    room_tokens: int
    """Tokens that then fitted into the KV pool beside the running requests."""


class CacheLoss:
    """The evidence about one worker."""

    def __init__(self) -> None:
        self.misses_total = 0
        """Predicted hits of which not even the first block came."""
        self._reports = 0
        self._written = 0
        self._own = 0
        """Tokens of `_written` that requests reported since the last scrape have written."""
        self._scraped = 0
        self._touched: OrderedDict[bytes, _Touch] = OrderedDict()
        self._missed: dict[bytes, str] = {}
        """The clients of the misses that one loss explains, by start."""
        self._first = _Touch(0, 0, 0)
        """When the first of these came."""

    def scraped(self, written_tokens: int) -> None:
        """Take in the engine's own count of written tokens, which has what other routers sent too."""
        self._written += max(0, written_tokens - self._scraped - self._own)
        self._scraped, self._own = written_tokens, 0

    def reported(self, report: CacheReport, room_tokens: int) -> bool:
        """Take one finished request in. `room_tokens`: what fits into the KV pool beside the running requests, 0 where
        a miss says nothing now. True when the cache must be believed lost."""
        lost = False
        self._reports += 1
        if report.predicted_tokens >= MIN_PREDICTED_TOKENS:
            touch = self._touched.get(report.start)
            if report.cached_tokens < report.start_tokens:
                self.misses_total += 1
                lost = self._miss(report, touch, room_tokens)
            elif touch is None or touch.number < self._first.number:
                self._missed.clear()  # that loss would have taken it
        self._written += report.written_tokens
        self._own += report.written_tokens
        self._touched[report.start] = _Touch(self._reports, self._written, room_tokens)
        self._touched.move_to_end(report.start)
        if len(self._touched) > MAX_STARTS:
            self._touched.popitem(last=False)
        return lost

    def clear(self) -> None:
        """Forget the evidence: nothing is believed to be cached there any more."""
        self._missed.clear()
        self._touched.clear()

    def _miss(self, report: CacheReport, touch: _Touch | None, room_tokens: int) -> bool:
        if touch is None or not self._kept(touch, room_tokens):
            return False
        if not self._missed or not self._kept(self._first, room_tokens):
            self._missed.clear()
            self._first = _Touch(self._reports, self._written, room_tokens)
        elif touch.number > self._first.number:
            return False  # computed anew since: that loss does not explain it
        if not report.client or report.client not in self._missed.values():
            self._missed[report.start] = report.client
        return len(self._missed) >= MISSES

    def _kept(self, touch: _Touch, room_tokens: int) -> bool:
        """Can a start that was used then not have been evicted since?"""
        return (self._written - touch.written) * ROOM_PARTS < min(touch.room_tokens, room_tokens)
