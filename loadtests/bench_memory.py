"""Is the memory for known conversations really bounded? A day's worth of distinct conversations, against a limit.

Every conversation grows turn by turn to about 150 KB of body. Their bodies are real and read by the real reader; ids
and blocks are made up (four bytes a token) and go into the real cache, since encoding 20 GB would take hours and add
nothing to memory. Prints, as the text goes through, what the caches count and what the process really took.
"""

import argparse
import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tokenizer_cache.conversation import Boundary, Conversations, Room
from tokenizer_cache.items import Keys
from tokenizer_cache.reader import Reader
from tokenizer_cache.request import Request

_MIB = 1 << 20
_READER_SHARE = 8
_SEED = 7
_BLOCK_BYTES = 256
_FIRST_BYTES = 30_000
_TURNS = 8
_TURN_BYTES = 15_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Reading(NamedTuple):
    """The memory at one moment."""

    text_bytes: int
    """Bytes of bodies that have gone through, each counted in full."""
    conversations: int
    tracked_bytes: int
    """What the caches say that they hold."""
    resident_bytes: int
    """What the process has taken since the start."""
    evictions: int


class Day:
    """The caches of one process, and a day of conversations for them."""

    def __init__(self, limit_bytes: int) -> None:
        self._rng = random.Random(_SEED)
        self._text = "".join(self._rng.choices("etaoin shrdlu,.(){}", k=_FIRST_BYTES + _TURNS * _TURN_BYTES))
        self._reader = Reader(limit_bytes // _READER_SHARE, _SEED)
        self._room = Room(limit_bytes - limit_bytes // _READER_SHARE)
        self._cache = Conversations(self._room)
        self._started = 0
        self._text_bytes = 0
        gc.collect()
        self._resident = _resident_bytes()

    def run(self, text_bytes: int, readings: int) -> Iterator[Reading]:
        """Send `text_bytes` of bodies through; as many readings on the way."""
        yield self.reading()
        for step in range(1, readings + 1):
            while self._text_bytes < text_bytes * step // readings:
                self._converse()
            gc.collect()
            yield self.reading()

    def reading(self) -> Reading:
        """The memory now."""
        tracked = self._room.size_bytes + self._reader.size_bytes
        resident = _resident_bytes() - self._resident
        return Reading(self._text_bytes, self._started, tracked, resident, self._room.evictions)

    def _converse(self) -> None:
        """One conversation, from its first turn to its last."""
        self._started += 1
        opening = f'{{"model":"m","messages":[{{"role":"user","content":"{self._started} '
        body = opening.encode() + self._text[:_FIRST_BYTES].encode() + b'"}'
        boundary: Boundary | None = None
        for turn in range(_TURNS):
            request = self._reader.parse("chat", body + b"]}")
            boundary = self._grow(request, boundary, len(body) if turn == 0 else _TURN_BYTES)
            self._text_bytes += len(body)
            start = _FIRST_BYTES + turn * _TURN_BYTES
            body += b',{"role":"tool","content":"%b"}' % self._text[start : start + _TURN_BYTES].encode()

    def _grow(self, request: Request, known: Boundary | None, new_bytes: int) -> Boundary:
        """What an encoder remembers of a turn that adds so much text."""
        blocks = new_bytes // _BLOCK_BYTES
        spine, count = self._cache.grow(known, self._rng.randbytes(8 * blocks))
        boundary = Boundary(
            spine,
            count,
            self._rng.randbytes(self._rng.randrange(_BLOCK_BYTES)),
            tokens=1000 + count * _BLOCK_BYTES // 4,
            chars=1000 + count * _BLOCK_BYTES,
            text=self._rng.randbytes(16),
            overhang="<|im_end|>\n" + str(count),
            shape="suct",
            ending=self._rng.randbytes(12),
        )
        keys = Keys(b"bench", request.conversation)
        self._cache.add(keys[-1], boundary)
        return boundary


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_memory", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0, help="text to send through")
    parser.add_argument("--limit-mib", type=int, default=64, help="the setting conversation_cache_bytes")
    parser.add_argument("--readings", type=int, default=10)
    args = parser.parse_args()
    limit = args.limit_mib * _MIB
    print("| text, GB | conversations | counted, MiB | resident above start, MiB | of the limit | evictions |")
    print("|---:|---:|---:|---:|---:|---:|")
    for reading in Day(limit).run(int(args.gigabytes * 1e9), args.readings):
        print(
            f"| {reading.text_bytes / 1e9:.1f} | {reading.conversations:,} | {reading.tracked_bytes / _MIB:.1f} "
            f"| {reading.resident_bytes / _MIB:.1f} | {100 * reading.resident_bytes / limit:.1f} % "
            f"| {reading.evictions:,} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
