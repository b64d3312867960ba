"""Signs the values that routers leave for each other in Redis. Write access to Redis allows to delete and copy them,
but not to forge one.

A seal belongs to one deployment and one purpose. Its key is made of the index secret, which only routers have. A value
is signed together with its place (a router's name, a worker's id, a digest): in another place it is refused. The MAC is
written first, then the body.
"""

import hashlib
import hmac

MAC_BYTES = 16


class Seal:
    """The seal of one purpose. `scope` is the deployment's prefix."""

    def __init__(self, secret: bytes, scope: str, purpose: str) -> None:
        label = f"warmroute {purpose} {scope}".encode()
        self._key = hashlib.blake2b(label, key=secret[:64], digest_size=32).digest()

    def write(self, place: bytes, body: bytes) -> bytes:
        """The value to store."""
        return self._mac(place, body) + body

    def read(self, place: bytes, raw: object, limit: int) -> bytes | None:
        """The body; None for a value that no router of this deployment wrote for this place, or that is longer than
        `limit`."""
        if not isinstance(raw, bytes) or not MAC_BYTES <= len(raw) <= limit:
            return None
        body = raw[MAC_BYTES:]
        return body if hmac.compare_digest(raw[:MAC_BYTES], self._mac(place, body)) else None

    def name(self, text: bytes, size: int) -> bytes:
        """A keyed hash that stands for `text` in Redis; equal on all routers."""
        return hashlib.blake2b(text, key=self._key, digest_size=size, person=b"name").digest()

    def _mac(self, place: bytes, body: bytes) -> bytes:
        mac = hashlib.blake2b(b"%d %s " % (len(place), place), key=self._key, digest_size=MAC_BYTES)
        mac.update(body)
        return mac.digest()
