"""Token ids to chained block hashes, fast enough for prompts of 100K tokens on every request.

Each block is hashed on its own and the chain is a running sum of the block hashes, each weighted by its place: all in
numpy. Good for an emulator (a collision is as unlikely as for any 64-bit hash), not for keeping secrets.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint32]
"""Token ids of one prompt."""
Words = NDArray[np.uint64]
"""64-bit numbers: hashes."""
_NOT_ZERO = np.uint64(0xD6E8FEB86659FD93)


class ChainHasher:
    """Chains for one block size. Equal prefixes under an equal root give equal hashes, in every process."""

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._in_block = _odd_numbers(1, block_tokens)
        self._places = _odd_numbers(2, 1024)

    def chain(self, ids: Ids, root: int) -> list[int]:
        """One 64-bit hash per full block of `ids`."""
        count = len(ids) // self._block_tokens
        blocks = ids[: count * self._block_tokens].reshape(count, self._block_tokens).astype(np.uint64)
        # The constant keeps a block of zeros from hashing to zero, which would give all its places one hash.
        return self.linked(blocks @ self._in_block + _NOT_ZERO, root).tolist()  # type: ignore[no-any-return]

    def linked(self, blocks: Words, root: int) -> Words:
        """The chain of blocks that are known by one number each, as in traces without text."""
        count = len(blocks)
        if count > len(self._places):
            self._places = _odd_numbers(2, 2 * count)
        hashes = _mixed(blocks) * self._places[:count]
        return _mixed(np.cumsum(hashes, dtype=np.uint64) + np.uint64(root))


def root_of(*identity: str) -> int:
    """The chain's root for what parts caches besides the tokens: the adapter, the cache salt."""
    text = "\0".join(identity).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def pseudo_random(seed: int, count: int) -> NDArray[np.uint64]:
    """`count` numbers that depend on the seed alone."""
    return _mixed(np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed))


def _odd_numbers(seed: int, count: int) -> Words:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)


def _mixed(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return words ^ (words >> np.uint64(32))
