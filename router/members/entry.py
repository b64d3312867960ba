"""One decision about one worker: how it is written, signed and read back.

An attacker who can write to Redis must not be able to send prompts to another worker, to remove workers, or to restore
an old decision. So an entry is signed with a key that only routers have, together with its worker's id, and holds the
times at which it was decided and signed.
"""

from enum import Enum

import msgspec

from router.shared.seal import MAC_BYTES, Seal

MAX_ENTRY_BYTES = 4096


class Standing(Enum):
    """The decision about a worker."""

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
    """True if an operator added it: routers that do not know it add it. False for a worker that settings or discovery
    named, and that an operator only drained or removed."""
    version: int
    """When it was decided, in microseconds since 1970; later than every decision before it. The newest decision is
    valid."""
    stamp: int
    """When it was signed last, in seconds since 1970. Routers that hold it sign it again at intervals, so that an old
    copy differs from a valid entry."""

    @property
    def order(self) -> tuple[int, int]:
        """Of two entries for one worker, the one with the higher order is valid."""
        return self.version, self.stamp


class BadEntryError(ValueError):
    """The bytes are no entry of these routers. The text is a metric label: `malformed` or `forged`."""


def write_entry(seal: Seal, entry: Entry) -> bytes:
    """The entry's stored bytes."""
    body = (entry.url, entry.standing.value, entry.added, entry.version, entry.stamp)
    return seal.write(entry.worker.encode(), msgspec.msgpack.encode(body))


def read_entry(seal: Seal, worker: str, raw: bytes) -> Entry:
    """Read the stored bytes of this worker's entry. Raises BadEntryError."""
    if not MAC_BYTES < len(raw) <= MAX_ENTRY_BYTES:
        raise BadEntryError("malformed")
    body = seal.read(worker.encode(), raw, MAX_ENTRY_BYTES)
    if body is None:
        raise BadEntryError("forged")
    try:
        return Entry(worker, *msgspec.msgpack.decode(body, type=tuple[str, Standing, bool, int, int]))
    except msgspec.DecodeError:
        raise BadEntryError("malformed") from None
