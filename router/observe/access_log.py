"""One JSON line per request, without a word of the prompt.

Lines are collected and written a few times a second by a thread: a slow terminal or a full pipe must not stop the event
loop. When the writer cannot keep up, lines are dropped and counted.
"""

import asyncio
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from router.observe.record import RequestRecord

FLUSH_S = 0.25
MAX_WAITING_LINES = 50_000
PIECE_BYTES = 4096
"""Several processes may write to one pipe: only a write of at most this many bytes (PIPE_BUF) is atomic, so that lines
stay whole."""


MAX_PATH_CHARS = 512
"""Characters of a path in a line, at most. Danger: without a bound, paths of 64 KB that nobody needs a key for fill
disks, and the memory while the writer is slow."""


class AccessLine(msgspec.Struct, omit_defaults=True):
    """What is said of a request. Token counts are tokens, times are milliseconds."""

    ts: float
    request_id: str
    method: str
    path: str
    status: int
    outcome: str
    duration_ms: float
    model: str = ""
    worker: str = ""
    attempts: int = 0
    reason: str = ""
    stream: bool = False
    prompt_tokens: int = 0
    predicted_cached_tokens: int = 0
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    overhead_ms: float = 0.0
    queued_ms: float = 0.0
    queued_for: str = ""
    ttft_ms: float = 0.0
    source: str = ""
    client: str = ""
    session: str = ""


class AccessLog:
    """The writer. `stream=None` writes nothing. `run` until cancelled, then `flush` once more."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._encoder = msgspec.json.Encoder()
        self.dropped = 0

    @property
    def enabled(self) -> bool:
        """False when nothing is written: lines need not be made."""
        return self._stream is not None

    def write(self, record: RequestRecord) -> None:
        """Take a request's line; never blocks."""
        if self._stream is None:
            return
        if len(self._lines) >= MAX_WAITING_LINES:
            self.dropped += 1
            return
        self._lines.append(self._encoder.encode(_line(record)))

    def flush(self) -> None:
        """Write all that waits, in the calling thread."""
        lines, self._lines = self._lines, []
        if lines and self._stream is not None:
            for text in _pieces(lines):
                self._stream.write(text)
                self._stream.flush()

    async def run(self) -> None:
        """Flush for ever, off the event loop."""
        while True:
            await asyncio.sleep(FLUSH_S)
            if self._lines:
                await asyncio.to_thread(self.flush)


def _line(record: RequestRecord) -> AccessLine:
    return AccessLine(
        ts=record.ended_ts,
        request_id=record.request_id,
        method=record.method,
        path=record.path[:MAX_PATH_CHARS],
        status=record.status,
        outcome=record.outcome,
        duration_ms=_ms(record.duration_s),
        model=record.model,
        worker=record.worker,
        attempts=record.attempts,
        reason=record.reason,
        stream=record.stream,
        prompt_tokens=record.prompt_tokens,
        predicted_cached_tokens=record.predicted_cached_tokens,
        cached_tokens=record.cached_tokens,
        completion_tokens=record.completion_tokens,
        overhead_ms=_ms(record.overhead_s),
        queued_ms=_ms(record.queued_s),
        queued_for=record.queued_for,
        ttft_ms=_ms(record.ttft_s),
        source=record.source,
        client=record.client,
        session=record.session,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """The lines joined to pieces, each of one line or not too large."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= PIECE_BYTES:
            yield piece
            piece = b""
        piece += line + b"\n"
    yield piece
