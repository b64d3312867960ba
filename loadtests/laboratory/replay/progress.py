"""One line on stderr that says how far a replay is: rewritten on a terminal, else a new one every ten seconds."""

import sys
from typing import TextIO

from loadtests.laboratory.replay.record import Record

REFUSED = 20
"""This many failures before the first success end the replay: the address, the key or the model is wrong."""


class NothingWorksError(ValueError):
    """The first requests all failed."""


class Progress:
    """Sees every record."""

    def __init__(self, quiet: bool, stream: TextIO = sys.stderr) -> None:
        self._stream, self._quiet = stream, quiet
        self._interval_s = 1.0 if stream.isatty() else 10.0
        self._next_s = self._interval_s
        self.answered = self.failed = 0

    def saw(self, record: Record) -> None:
        """Count it. Raises NothingWorksError when all has failed so far, often enough."""
        if record.error:
            self.failed += 1
        else:
            self.answered += 1
        if not self.answered and self.failed == REFUSED:
            raise NothingWorksError(f"the first {REFUSED} requests failed; the last: {record.error}: {record.detail}")

    def tell(self, now_s: float, running: int) -> None:
        """Say it, if it is time to."""
        if self._quiet or now_s < self._next_s:
            return
        self._next_s = now_s + self._interval_s
        line = f"{now_s:5.0f} s: {self.answered:,} answered, {self.failed:,} failed, {running:,} running"
        line = f"{line:<70}\r" if self._stream.isatty() else f"{line}\n"
        print(line, end="", file=self._stream, flush=True)
