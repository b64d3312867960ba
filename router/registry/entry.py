"""One decision about one worker: how it is written, signed and read back.

Who can write to Redis must not be able to send prompts to a worker of his own, to take workers away, or to bring an old
decision back. So an entry is signed with a key that only routers have, and says when it was decided and signed.
Written: version (20 digits), stamp (12 digits), MAC (32 bytes), then the rest as msgpack.
"""

import hashlib
import hmac
from enum import Enum

import msgspec

VERSION_DIGITS = 20
STAMP_DIGITS = 12
HEAD_BYTES = VERSION_DIGITS + STAMP_DIGITS
MAC_BYTES = 32
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


class Seal:
    """Signs and checks. Entries of another deployment (`scope`) or secret are forged."""

    def __init__(self, secret: bytes, scope: str) -> None:
        self._key = hashlib.blake2b(b"warmroute registry " + scope.encode(), key=secret[:64], digest_size=32).digest()

    def write(self, entry: Entry) -> bytes:
        """The entry as it is stored."""
        head = b"%0*d%0*d" % (VERSION_DIGITS, entry.version, STAMP_DIGITS, entry.stamp)
        body = msgspec.msgpack.encode((entry.worker, entry.url, entry.standing.value, entry.added))
        return head + self._mac(head, body) + body

    def read(self, raw: bytes) -> Entry:
        """Raises BadEntryError."""
        head, mac, body = raw[:HEAD_BYTES], raw[HEAD_BYTES : HEAD_BYTES + MAC_BYTES], raw[HEAD_BYTES + MAC_BYTES :]
        if len(raw) > MAX_ENTRY_BYTES or not body or not head.isdigit():
            raise BadEntryError("malformed")
        if not hmac.compare_digest(mac, self._mac(head, body)):
            raise BadEntryError("forged")
        try:
            worker, url, standing, added = msgspec.msgpack.decode(body, type=tuple[str, str, Standing, bool])
        except msgspec.DecodeError:
            raise BadEntryError("malformed") from None
        return Entry(worker, url, standing, added, int(head[:VERSION_DIGITS]), int(head[VERSION_DIGITS:]))

    def _mac(self, head: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, head + body, "sha256")
