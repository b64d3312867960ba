"""What a trace file says: the first line is a head, each other line one answered request.

A prompt's chain is told as the number of blocks that it has in common with the conversation's line before, and the
hashes of the others. They are hashed once more under the file's key: equal beginnings have equal hashes, and nothing
else can be had from them.
"""

import hashlib
from array import array

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from router.prefix.index import HASH_BYTES

VERSION = 1
USUAL_BLOCK_TOKENS = 64


class TracedWorker(msgspec.Struct, frozen=True):
    """One worker, as it was when the file was begun."""

    kv_tokens: int
    prefill_rate: float
    """Tokens per second, as measured."""


class TraceHead(msgspec.Struct, frozen=True):
    """A file's first line."""

    warmroute_trace: int
    began: float
    """Seconds since 1970."""
    workers: list[TracedWorker]


class TraceLine(msgspec.Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One answered request. Lines are in the order in which requests ended."""

    at: float
    """When the answer's last byte came in, in seconds since the head's `began`."""
    conversation: int
    """A number within the file."""
    prompt_tokens: int
    keep: int = 0
    """Blocks in common with the line before it of this conversation."""
    blocks: bytes = b""
    """Hashes of the blocks after these, 8 bytes each. In the file they are base64."""
    block_tokens: int = USUAL_BLOCK_TOKENS
    cached_tokens: int | None = None
    """Prompt tokens that were cached, as the engine reported; None where it did not."""
    answer_tokens: int | None = None
    """Tokens of the answer, as the engine reported; None where it did not."""
    calls_tool: bool = False
    """Does the answer call a tool?"""
    ttft_s: float
    took_s: float
    model: str = ""


class Blinder:
    """Hashes block hashes under a key of its own: AES of one block each, cut to 8 bytes, which is a pseudo-random
    function. The blocks are independent, so equal ones are equal: that is what a trace is for."""

    def __init__(self, secret: bytes) -> None:
        key = hashlib.blake2b(secret, digest_size=32, person=b"trace file").digest()
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())

    def blind(self, chain: bytes) -> bytes:
        """The chain with each of its hashes hashed."""
        plain = array("Q", bytes(2 * len(chain)))
        plain[::2] = array("Q", chain)
        return array("Q", self._cipher.encryptor().update(plain.tobytes()))[::2].tobytes()


def common_blocks(one: bytes, other: bytes) -> int:
    """How many hashes two chains begin with in common, by bisection: with one, all before it are equal."""
    low, high = 0, min(len(one), len(other)) // HASH_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        same = (
            one[(middle - 1) * HASH_BYTES : middle * HASH_BYTES]
            == other[(middle - 1) * HASH_BYTES : middle * HASH_BYTES]
        )
        low, high = (middle, high) if same else (low, middle - 1)
    return low
