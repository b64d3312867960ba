"""Block chains against the definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.conversations.chain import SLICE_IDS, Chain, pack

SECRET = b"secret"


def naive(block_bytes: int, parent: bytes, data: bytes) -> bytes:
    chain = b""
    for start in range(0, len(data) - block_bytes + 1, block_bytes):
        parent = hashlib.blake2b(parent + data[start : start + block_bytes], digest_size=8, key=SECRET).digest()
        chain += parent
    return chain


def test_ids_are_packed_little_endian() -> None:
    assert pack([1, 65536]) == bytes([1, 0, 0, 0, 0, 0, 1, 0])


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(1, 9))
def test_extending_in_any_pieces_gives_one_chain(pieces: list[bytes], block_bytes: int) -> None:
    chain = Chain(block_bytes, SECRET)
    root = chain.root(b"scope")
    parent, remainder, joined = root, b"", b""
    for piece in pieces:
        added, remainder = chain.extend(parent, remainder, piece)
        joined += added
        parent = joined[-8:] or root
    data = b"".join(pieces)
    assert joined == naive(block_bytes, root, data)
    assert remainder == data[len(data) - len(data) % block_bytes :]


def test_scopes_and_secrets_share_nothing() -> None:
    data = bytes(64)
    chains = set()
    for secret, scope in ((b"a", b"x"), (b"a", b"y"), (b"b", b"x")):
        chain = Chain(16, secret)
        chains.add(chain.extend(chain.root(scope), b"", data)[0])
    assert len(chains) == 3


def test_a_block_needs_a_size() -> None:
    with pytest.raises(ValueError, match="byte"):
        Chain(0, SECRET)


def test_many_ids_are_packed_as_few_are() -> None:
    ids = [number * 2654435761 % (1 << 32) for number in range(2 * SLICE_IDS + 3)]
    assert pack(ids) == b"".join(number.to_bytes(4, "little") for number in ids)
    assert pack(ids[:SLICE_IDS]) == pack(ids)[: 4 * SLICE_IDS]
