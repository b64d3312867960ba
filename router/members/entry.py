"""One decision about one worker: how it is written, signed and read back.

Who can write to Redis must not be able to send prompts to a worker of his own, to take workers away, or to bring an old
decision back. So an entry is signed with a key that only routers have, for its worker's place, and says when it was
decided and signed.
"""

from enum import Enum

import msgspec

from router.shared.seal import MAC_BYTES, Seal

MAX_ENTRY_BYTES = 4096


class Standing(Enum):
    """What was decided about a worker."""

    PRESENT = "present"
    DRAINING = "draining"
    REMOVED = "removed"


class Entry(msgspec.Struct, frozen=True):
    """A decision."""

    worker: str
    """The worker's id."""
    url: str
    standing: Standing
    added: bool
    """An operator added it: routers that do not know it take it in. False for a worker that settings or discovery
    named, and that was only drained or removed by an operator."""
    version: int
    """When it was decided, in microseconds since 1970, and later than every decision before it: the newest holds."""
    stamp: int
    """When it was signed last, in seconds since 1970. Routers that hold it sign it again now and then, so that an old
    copy can be told from one that still holds."""

    @property
    def order(self) -> tuple[int, int]:
        """Of two entries for one worker the higher holds."""
        return self.version, self.stamp


class BadEntryError(ValueError):
    """Bytes that are no entry of ours. The text is a metric label: `malformed` or `forged`."""


def write_entry(seal: Seal, entry: Entry) -> bytes:
    """As it is stored."""
    body = (entry.url, entry.standing.value, entry.added, entry.version, entry.stamp)
    return seal.write(entry.worker.encode(), msgspec.msgpack.encode(body))


def read_entry(seal: Seal, worker: str, raw: bytes) -> Entry:
    """What lies in this worker's place. Raises BadEntryError."""
    if not MAC_BYTES < len(raw) <= MAX_ENTRY_BYTES:
        raise BadEntryError("malformed")
    body = seal.read(worker.encode(), raw, MAX_ENTRY_BYTES)
    if body is None:
        raise BadEntryError("forged")
    try:
        return Entry(worker, *msgspec.msgpack.decode(body, type=tuple[str, Standing, bool, int, int]))
    except msgspec.DecodeError:
        raise BadEntryError("malformed") from None
