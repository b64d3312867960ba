"""A chain of block hashes, each keyed with its parent's.

Works on bytes of fixed blocks, so the same code chains packed token ids (4 bytes each, little-endian on every machine
that engines run on) and chunks of text. The hash is a keyed blake2b: hashes leave the process, and must not tell
anything about the prompt to one who does not know the secret.
"""

import hashlib
from array import array
from collections.abc import Sequence

HASH_BYTES = 8
ID_BYTES = 4


def pack(ids: Sequence[int]) -> bytes:
    """Token ids as bytes, 4 each."""
    return array("I", ids).tobytes()


class Chain:
    """Hashes blocks of `block_bytes` bytes. About 1 us per block."""

    __slots__ = ("_keyed", "block_bytes")

    def __init__(self, block_bytes: int, secret: bytes) -> None:
        if block_bytes < 1:
            raise ValueError("a block must have at least one byte")
        self.block_bytes = block_bytes
        self._keyed = hashlib.blake2b(digest_size=HASH_BYTES, key=secret[:64])

    def root(self, scope: bytes) -> bytes:
        """The parent of every first block of one scope (model, salt, ...): scopes never share a hash."""
        state = self._keyed.copy()
        state.update(scope)
        return state.digest()

    def extend(self, parent: bytes, remainder: bytes, new: bytes) -> tuple[bytes, bytes]:
        """Hashes of the blocks that `remainder + new` fills after `parent`, joined, and what is left over."""
        width, keyed = self.block_bytes, self._keyed
        data = memoryview(remainder + new if remainder else new)
        hashes = []
        end = len(data) - len(data) % width
        for start in range(0, end, width):
            state = keyed.copy()
            state.update(parent)
            state.update(data[start : start + width])
            parent = state.digest()
            hashes.append(parent)
        return b"".join(hashes), bytes(data[end:])
