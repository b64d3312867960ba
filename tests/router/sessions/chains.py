"""Prompts made of words: equal beginnings of equal words have equal chains."""

import hashlib
import zlib
from array import array

from router.prefix.index import HASH_BYTES
from tokenizer_cache.prompt import Prompt

BLOCK = 64
TOKEN_BYTES = 8


def prompt_of(*parts: tuple[str, int], known: int | None = None) -> Prompt:
    """A prompt of parts, each a name and its length in tokens. Blocks are hashed with all that comes before them."""
    words = b"".join(
        array("Q", range(zlib.crc32(name.encode()) << 32, (zlib.crc32(name.encode()) << 32) + length)).tobytes()
        for name, length in parts
    )
    state, step, chain = hashlib.blake2b(digest_size=HASH_BYTES), BLOCK * TOKEN_BYTES, []
    for at in range(0, len(words) - step + 1, step):
        state.update(words[at : at + step])
        chain.append(state.copy().digest())
    exact, tokens = known is None, len(words) // TOKEN_BYTES
    blocks = len(chain) if known is None else known
    return Prompt(b"".join(chain), blocks, tokens, BLOCK, exact, "ids" if exact else "estimate")
