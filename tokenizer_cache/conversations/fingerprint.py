"""Fingerprints of texts that grow: the fingerprint of a text follows from the fingerprint of its beginning and the
rest.

A text's bytes are one large number; its fingerprint is the remainder of that number modulo a secret prime of 128 bits.
Unlike the state of a running hash it is 16 bytes that can be stored, continued any number of times, and handed to
another process. Equal fingerprints are taken for equal texts. The difference of two texts of n bytes has at most n / 15
such prime factors, out of 2^120 primes: without the secret, two texts of one fingerprint cannot be made.
"""

from typing import Final

EMPTY: Final = bytes(15) + b"\1"
"""The fingerprint of the empty text. It is not zero, so that zeros at a text's beginning count."""
_WITNESSES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""The bases of Fermat's test. A random number of this size that passes is composite with a probability far below
2^-60."""
_PIECE: Final = 1 << 15
"""The interpreter's lock is held for at most this many characters at a time."""


class Fingerprints:
    """Makes fingerprints for one secret of at least 16 bytes. A few microseconds per KB."""

    def __init__(self, secret: bytes) -> None:
        self._modulus = _prime_below(int.from_bytes(secret[:16], "little") | 1 << 127)

    def of(self, text: str) -> bytes:
        """The fingerprint of a text."""
        return self.then(EMPTY, text)

    def then(self, before: bytes, text: str) -> bytes:
        """The fingerprint of `text` behind the text whose fingerprint is `before`."""
        for start in range(0, len(text), _PIECE):
            number = int.from_bytes(before + text[start : start + _PIECE].encode(), "big")
            before = (number % self._modulus).to_bytes(16, "big")
        return before


def _prime_below(number: int) -> int:
    """The largest prime up to a number of 128 bits. About 1 ms."""
    candidate = number - 1 | 1
    while not all(pow(base, candidate - 1, candidate) == 1 for base in _WITNESSES):
        candidate -= 2
    return candidate
