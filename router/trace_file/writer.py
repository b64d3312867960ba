"""Writes the trace file a few times a second, in a thread, and begins a new file when one is long enough.

What must not be broken: a full or slow disk costs lines, which are counted, and never a request.
"""

import asyncio
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from router.observe.record import RequestRecord
from router.prefix.index import HASH_BYTES
from router.routing.prompt_record import PromptRecord
from router.trace_file.conversations import TracedConversations
from router.trace_file.lines import VERSION, Blinder, TracedWorker, TraceHead, TraceLine

FLUSH_S = 0.25
RETRY_S = 60
"""Seconds between a write that failed and the next one."""
MAX_WAITING_LINES = 10_000
MAX_WAITING_TOKENS = 200_000_000
"""Prompt tokens of the lines that wait, at most: the prompts' chains take up to 25 MB."""
FILE_BYTES = 64 << 20
OLD_FILES = 7
"""Files that are kept beside the one that is written, as `FILE.1` (the youngest) to `FILE.7`: all together at most 512
MB."""
log = logging.getLogger("warmroute")


class Passed(NamedTuple):
    """One answered request, until its line is made. Its exact chain may become known meanwhile."""

    record: RequestRecord
    prompt: PromptRecord
    tokens: int | None
    """Prompt tokens, as the engine reported; None where it did not."""
    calls_tool: bool


class TraceFile:
    """Writes the trace file. With `path=""` it writes nothing. `run` it until it is cancelled, then `close` it."""

    def __init__(
        self,
        path: str,
        secret: bytes,
        workers: Callable[[], Sequence[TracedWorker]] = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`workers`: the fleet, as the file's head tells it."""
        self._path = Path(path) if path else None
        self._workers = workers
        self._blinder = Blinder(secret)
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[Passed] = []
        self._tokens = 0
        self._writing = threading.Lock()
        self._file: BinaryIO | None = None
        self._size = 0
        self._began = 0.0
        self._conversations = TracedConversations()
        self._clock = clock
        self._rests_until = 0.0
        self.dropped = 0

    @property
    def enabled(self) -> bool:
        """False when nothing is written."""
        return self._path is not None

    def write(
        self, record: RequestRecord, prompt: PromptRecord | None, tokens: int | None, calls_tool: bool = False
    ) -> None:
        """Take a request that has ended; never blocks. Those without a prompt or an answer are left out. `tokens`: of
        the prompt, as the engine reported."""
        if self._path is None or prompt is None or not record.answered:
            return
        if len(self._waiting) >= MAX_WAITING_LINES or self._tokens >= MAX_WAITING_TOKENS:
            self.dropped += 1
            return
        self._waiting.append(Passed(record, prompt, tokens, calls_tool))
        self._tokens += prompt.prompt.tokens

    async def run(self) -> None:
        """Write for ever, off the event loop."""
        while True:
            await asyncio.sleep(FLUSH_S)
            if self._waiting:
                await asyncio.to_thread(self.flush)

    def flush(self) -> None:
        """Write all that waits, in the calling thread."""
        with self._writing:
            waiting, self._waiting, self._tokens = self._waiting, [], 0
            if self._clock() < self._rests_until:
                self.dropped += len(waiting)
                return
            written = 0
            try:
                for passed in waiting:
                    self._put(passed)
                    written += 1
                if self._file is not None:
                    self._file.flush()
            except OSError as error:
                self.dropped += max(1, len(waiting) - written)
                log.warning("the trace file cannot be written, and is tried again in %d s: %s", RETRY_S, error.strerror)
                self._rests_until = self._clock() + RETRY_S
                self._end()

    def close(self) -> None:
        """Write what waits, and end the file."""
        if self._path is not None:
            self.flush()
            with self._writing:
                self._end()

    def _put(self, passed: Passed) -> None:
        file = self._file
        if file is None or self._size >= FILE_BYTES:
            self._end()
            file = self._begin(passed.record.ended_ts - passed.record.duration_s)
        self._say(file, self._line(passed))

    def _line(self, passed: Passed) -> TraceLine:
        record, prompt = passed.record, passed.prompt.prompt
        chain = prompt.chain[: prompt.known_blocks * HASH_BYTES]
        ended = record.ended_ts - self._began
        took = record.ended_at - record.received_at
        conversation, keep = self._conversations.next(chain, ended - took, ended)
        return TraceLine(
            at=round(ended - took, 4),
            conversation=conversation,
            prompt_tokens=prompt.tokens if passed.tokens is None else passed.tokens,
            keep=keep,
            blocks=self._blinder.blind(chain[keep * HASH_BYTES :]),
            block_tokens=prompt.block_tokens,
            cached_tokens=record.cached_tokens,
            answer_tokens=record.completion_tokens,
            calls_tool=passed.calls_tool,
            ttft_s=round(record.ttft_s, 4),
            took_s=round(took, 4),
            model=record.model,
        )

    def _begin(self, began: float) -> BinaryIO:
        """A new file: those before it get the next number, and the oldest is deleted. Danger: a full disk must not cost
        the old files, so an empty one is deleted in their place."""
        assert self._path is not None
        if self._path.exists() and not self._path.is_file():  # a folder, /dev/null: neither moved nor deleted
            raise OSError(errno.EEXIST, "there is something that is no plain file")
        if self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, OLD_FILES + 1))]
        for older, younger in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if younger.exists() and names[0].exists():
                younger.replace(older)
        self._began, self._size, self._conversations = began, 0, TracedConversations()
        # Only the router's own user may read it: it says who asked how much, and when.
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._say(self._file, TraceHead(VERSION, round(began, 3), list(self._workers())))
        return self._file

    def _say(self, file: BinaryIO, line: TraceHead | TraceLine) -> None:
        text = self._encoder.encode(line) + b"\n"
        file.write(text)
        self._size += len(text)

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written was counted
                file.close()
