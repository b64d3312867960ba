"""What each process of one supervisor learned about conversations, shared with its siblings: one ring in shared memory
per process.

Each process writes its own ring and reads all others. A record counts once the ring's position is past it. A reader
that is a whole ring behind skips what is lost, and a record that was overwritten while it was read fails its checksum.
Lost records cost an encode, never a wrong prompt. Rings hold token ids and a few characters of text: they belong in a
private folder in memory, and nowhere else.
"""

import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

RING_BYTES: Final = 4 << 20
_HEAD: Final = struct.Struct("<8sQQ")
_MAGIC: Final = b"warmring"
_DATA: Final = 64
_RECORD: Final = struct.Struct("<II")
_SKIP: Final = 0xFFFFFFFF
_RETRY: Final = 64
"""A sibling's ring that was missing is looked for again after this many polls."""


class JournalEntry(msgspec.Struct, frozen=True, array_like=True):
    """One boundary of a conversation, whole."""

    tag: bytes
    """Stands for the encoder that it belongs to."""
    key: bytes
    parent: bytes
    """Key of the boundary that it was grown from; empty for none."""
    chain: bytes
    ids: bytes
    """Packed ids up to the cut, where they are kept."""
    remainder: bytes
    tokens: int
    chars: int
    text: bytes
    overhang: str
    shape: str | None
    ending: bytes | None


class Ring:
    """One ring. `create` opens this process's ring, or continues the ring of a process that died with this number. Only
    one thread at a time may write."""

    def __init__(self, path: Path, create: bool, size: int = RING_BYTES) -> None:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if create:
                os.posix_fallocate(handle, 0, _DATA + size)  # else full memory would show later, as a signal
            self._memory = mmap.mmap(handle, 0)
        finally:
            os.close(handle)
        magic, capacity, written = _HEAD.unpack_from(self._memory)
        if create and (magic != _MAGIC or capacity != len(self._memory) - _DATA):
            capacity, written = len(self._memory) - _DATA, 0
            _HEAD.pack_into(self._memory, 0, _MAGIC, capacity, written)
        elif magic != _MAGIC:
            raise OSError(f"{path} is no ring yet")
        self._capacity: int = capacity
        self._position: int = written if create or written > capacity else 0
        """Where the next record is written or read. A reader that starts late gets all records, as long as none has
        been overwritten."""

    def append(self, payload: bytes) -> None:
        """Leave a record for the siblings. One that would take more than a quarter of the ring is left out."""
        size = (_RECORD.size + len(payload) + 7) & ~7
        if size > self._capacity // 4:
            return
        at = self._position % self._capacity
        if at + size > self._capacity:
            _RECORD.pack_into(self._memory, _DATA + at, _SKIP, 0)
            self._position += self._capacity - at
            at = 0
        start = _DATA + at
        _RECORD.pack_into(self._memory, start, len(payload), zlib.crc32(payload))
        self._memory[start + _RECORD.size : start + _RECORD.size + len(payload)] = payload
        self._position += size
        _HEAD.pack_into(self._memory, 0, _MAGIC, self._capacity, self._position)

    def records(self) -> Iterator[bytes]:
        """What has been written since the last call, less what is lost."""
        written = self._written()
        if written - self._position > self._capacity:
            self._position = written
        while self._position < written:
            at = self._position % self._capacity
            length, checksum = _RECORD.unpack_from(self._memory, _DATA + at)
            if length == _SKIP:
                self._position += self._capacity - at
                continue
            size = (_RECORD.size + length + 7) & ~7
            start = _DATA + at + _RECORD.size
            payload = self._memory[start : start + length]
            torn = self._written() - self._position > self._capacity or size > self._capacity - at
            if torn or zlib.crc32(payload) != checksum:
                self._position = self._written()
                return
            self._position += size
            yield payload

    def has_news(self) -> bool:
        """Is there anything to read? A fraction of a microsecond."""
        return self._written() != self._position

    def _written(self) -> int:
        written: int = _HEAD.unpack_from(self._memory)[2]
        return written

    def close(self) -> None:
        """Release the memory."""
        self._memory.close()


class Journal:
    """This process's ring and its siblings'. Safe in several threads."""

    def __init__(self, folder: Path, number: int, count: int, size: int = RING_BYTES) -> None:
        self._paths = {other: folder / f"{other}.ring" for other in range(count) if other != number}
        self._own = Ring(folder / f"{number}.ring", create=True, size=size)
        self._rings: dict[int, Ring] = {}
        self._readers: dict[bytes, Callable[[JournalEntry], None]] = {}
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._looks = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(JournalEntry).decode
        self.taken = 0
        """Entries taken over from siblings."""

    def join(self, tag: bytes, take: Callable[[JournalEntry], None]) -> None:
        """Entries of this tag go to `take`, from now on."""
        self._readers[tag] = take

    def append(self, entry: JournalEntry) -> None:
        """Leave an entry for the siblings."""
        payload = self._encode(entry)
        with self._writing:
            self._own.append(payload)

    def poll(self) -> None:
        """Take over what the siblings left. Cheap where there is nothing; another thread may be at it already."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._looks % _RETRY == 0 and len(self._rings) < len(self._paths):
                self._find()
            self._looks += 1
            for ring in self._rings.values():
                if ring.has_news():
                    self._take(ring)
        finally:
            self._reading.release()

    def close(self) -> None:
        """Release the memory."""
        for ring in (self._own, *self._rings.values()):
            ring.close()

    def _find(self) -> None:
        for number, path in self._paths.items():
            if number not in self._rings and path.exists():
                try:
                    self._rings[number] = Ring(path, create=False)
                except (OSError, ValueError):  # it is just being made
                    continue

    def _take(self, ring: Ring) -> None:
        for payload in ring.records():
            entry = self._decode(payload)
            take = self._readers.get(entry.tag)
            if take is not None:
                self.taken += 1
                take(entry)
