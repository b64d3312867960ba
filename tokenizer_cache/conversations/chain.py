"""A chain of block hashes, each keyed with its parent's.

Blocks are bytes of a fixed size, so the same code chains packed token ids (4 bytes each, little-endian on every machine
that engines run on) and chunks of text. The hash is a keyed blake2b: hashes leave the process and must reveal nothing
about the prompt without the secret.
"""

import hashlib
from array import array
from collections.abc import Sequence
from typing import Final

import msgspec

HASH_BYTES = 8
ID_BYTES = 4
SLICE_BYTES: Final = 64 << 10
"""Ids are read in pieces of this size: reading 100,000 at once would stop the event loop for 5 ms, from any thread."""
SLICE_IDS: Final = 64 << 10
"""This many ids are packed in one go: half a millisecond."""
_INTS: Final = msgspec.json.Decoder(list[int])


def pack(ids: Sequence[int]) -> bytes:
    """Token ids as bytes, 4 each. Many are taken in slices, between which other threads go."""
    if len(ids) <= SLICE_IDS:
        return array("I", ids).tobytes()
    packed = array("I")
    for start in range(0, len(ids), SLICE_IDS):
        packed.extend(ids[start : start + SLICE_IDS])
    return packed.tobytes()


def read_ids(raw: bytes) -> "array[int]":
    """A JSON list of ids. Raises msgspec.DecodeError, or OverflowError for what is no id."""
    if not (raw.startswith(b"[") and raw.endswith(b"]")):
        raise msgspec.DecodeError("not a list")
    ids, start, end = array("I"), 1, len(raw) - 1
    while start < end:
        comma = raw.find(b",", min(end, start + SLICE_BYTES), end)
        stop = comma if comma >= 0 else end
        ids.extend(_INTS.decode(b"[%b]" % raw[start:stop]))
        start = stop + 1
    return ids


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
