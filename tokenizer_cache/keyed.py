"""A keyed hash of 128 bits, nearly as fast as memory, for what clients send.

GMAC (AES-GCM over nothing but associated data) is a universal hash: who does not know the key and never sees a digest
can make no two inputs of n bytes that share one but with a probability of n / 2^132. A hash that is merely seeded, like
xxh3, gives no such promise: with a secret seed, one of 5,000 pairs of a certain form collides. Digests never leave the
processes of one secret: whoever saw some could compute the key.
"""

import hashlib
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DIGEST_BYTES: Final = 16
_NONCE: Final = bytes(12)
"""Always the same: nothing is encrypted that anybody sees."""


class KeyedHash:
    """The hash that belongs to a secret: equal in all processes that share it. Safe in several threads at once. About
    0.7 us, and 0.05 us per KB."""

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        key = hashlib.blake2b(secret, digest_size=32, person=b"identity").digest()
        self._mac = AESGCM(key).encrypt

    def of(self, data: bytes | memoryview, before: bytes = b"") -> bytes:
        """16 bytes that stand for `before` and `data`, and for where the one ends. `before` should be short."""
        return self._mac(_NONCE, before, data)[-DIGEST_BYTES:]
