"""One JSON line per request, without a word of the prompt.

Lines are collected and written a few times a second by a thread: a slow terminal or a full pipe must not stop the event
loop. When the writer cannot keep up, lines are dropped and counted.
"""

import asyncio
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

FLUSH_S = 0.25
MAX_WAITING_LINES = 50_000
PIECE_BYTES = 4096
"""Several processes may write to one pipe: only up to so much (PIPE_BUF) is one piece for it, and lines stay whole."""


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
    ttft_ms: float = 0.0
    source: str = ""
    client: str = ""


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

    def write(self, line: AccessLine) -> None:
        """Take a line; never blocks."""
        if self._stream is None:
            return
        if len(self._lines) >= MAX_WAITING_LINES:
            self.dropped += 1
            return
        self._lines.append(self._encoder.encode(line))

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


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """The lines joined to pieces, each of one line or not too large."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= PIECE_BYTES:
            yield piece
            piece = b""
        piece += line + b"\n"
    yield piece
