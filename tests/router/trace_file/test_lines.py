"""Equal chains have equal hashes under one key, and nothing else does."""

import os

import msgspec

from router.prefix.index import HASH_BYTES
from router.trace_file.lines import Blinder, TraceLine, common_blocks


def test_equal_blocks_have_equal_hashes_under_one_key_alone() -> None:
    chain = os.urandom(40 * HASH_BYTES)
    one, other = Blinder(b"one"), Blinder(b"other")
    told = one.blind(chain)
    assert len(told) == len(chain)
    assert one.blind(chain[: 7 * HASH_BYTES]) + one.blind(chain[7 * HASH_BYTES :]) == told
    hashes = {told[at : at + HASH_BYTES] for at in range(0, len(told), HASH_BYTES)}
    assert len(hashes) == 40
    again = other.blind(chain)
    assert not hashes & {again[at : at + HASH_BYTES] for at in range(0, len(again), HASH_BYTES)}


def test_a_hash_shows_nothing_of_the_block_hash_behind_it() -> None:
    """One bit more in a block hash changes about half of the bits of what is told."""
    blinder = Blinder(b"secret")
    changed = []
    for bit in range(64):
        one, other = (blinder.blind(n.to_bytes(8, "little")) for n in (0, 1 << bit))
        changed.append((int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).bit_count())
    assert 28 < sum(changed) / 64 < 36


def test_no_blocks() -> None:
    assert Blinder(b"secret").blind(b"") == b""


def test_common_blocks_are_counted_whole() -> None:
    chain = bytes(range(1, 81))
    assert common_blocks(chain, chain) == 10
    assert common_blocks(chain, chain[:24]) == 3
    assert common_blocks(chain, chain[:30] + b"\0" * 50) == 3
    assert common_blocks(chain, b"\0" * 80) == 0
    assert common_blocks(b"", chain) == 0


def test_a_line_leaves_out_what_is_not_known() -> None:
    line = TraceLine(at=1.5, conversation=3, prompt_tokens=70, blocks=b"\0" * 8, ttft_s=0.1, took_s=0.5)
    assert msgspec.json.decode(msgspec.json.encode(line)) == {
        "at": 1.5,
        "conversation": 3,
        "prompt_tokens": 70,
        "blocks": "AAAAAAAAAAA=",
        "ttft_s": 0.1,
        "took_s": 0.5,
    }
