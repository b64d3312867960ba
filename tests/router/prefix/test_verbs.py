"""Commands of the shared index as words, and chains in slices. What they do: `test_contract`."""

import pytest

from router.prefix.index import HASH_BYTES
from router.prefix.verbs import (
    MAX_GENERATED,
    SEGMENT_BLOCKS,
    SLICE_BYTES,
    SLICE_SEGMENTS,
    Growth,
    SharedLimits,
    Slice,
    Verbs,
    packed,
    slices,
)
from router.shared.keys import Keys
from tests.router.prefix.conftest import chain_of

SLICE_BLOCKS = SEGMENT_BLOCKS * SLICE_SEGMENTS
CHAIN = chain_of(range(2 * SLICE_BLOCKS + 3))
VERBS = Verbs(Keys("p"), SharedLimits(ttl_s=100, steps=8))
GROW = Growth(allowed=True, capacity_blocks=50)
PART = Slice(128, CHAIN[:16], is_end=True)


def test_a_chain_is_cut_into_slices_tail_first() -> None:
    found = list(slices(CHAIN))
    assert [(part.first, part.is_end) for part in found] == [(1024, True), (512, False), (0, False)]
    assert b"".join(part.blocks for part in reversed(found)) == CHAIN
    assert max(len(part.blocks) for part in found) == SLICE_BYTES
    assert list(slices(b"")) == []


@pytest.mark.parametrize(("block", "first"), [(0, 0), (127, 0), (128, 128), (600, 512)])
def test_a_slice_begins_at_the_segment_of_its_first_block(block: int, first: int) -> None:
    *_, lowest = slices(CHAIN, block)
    assert lowest.first == first
    assert lowest.blocks[:HASH_BYTES] == CHAIN[first * HASH_BYTES :][:HASH_BYTES]


def test_a_script_gets_heads_of_segments_and_halves_of_blocks() -> None:
    heads, halves = packed(CHAIN)
    assert heads == b"".join(CHAIN[at : at + HASH_BYTES] for at in range(0, len(CHAIN), SEGMENT_BLOCKS * HASH_BYTES))
    assert halves == b"".join(CHAIN[at : at + 4] for at in range(0, len(CHAIN), HASH_BYTES))


def test_output_counts_at_a_chain_s_end_and_within_bounds() -> None:
    def generated(part: Slice, blocks: int) -> object:
        return VERBS.touch("h", part, blocks, 0, GROW).words[9]

    assert generated(PART, 7) == 7
    assert generated(PART, MAX_GENERATED + 1) == MAX_GENERATED
    assert generated(PART._replace(is_end=False), 7) == 0


def test_each_verb_s_words_are_its_script_s() -> None:
    heads, halves = packed(PART.blocks)
    root = Keys("p").tag
    growth = (1, 100, 50, 8)
    assert VERBS.match(PART.blocks, 9, ["a"]).words[3:] == (root, heads, halves, 9, "a")
    assert VERBS.touch("h", PART, 7, 3, GROW).words[3:] == (root, "h", heads, halves, 128, 1, 7, 3, *growth)
    assert VERBS.pend("h", PART, 3, 60, GROW).words[3:] == (root, "h", heads, halves, 128, 3, 60, *growth)
    assert VERBS.drop("h", PART, 3).words[3:] == (root, "h", heads, halves, 3)
    assert VERBS.forget("h", None).words[3:] == (root, "h", "")
    assert VERBS.forget("h", 0).words[3:] == (root, "h", 0)
    assert VERBS.set_capacity("h", 5).words[3:] == (root, "h", 5, 100, 8)
    assert VERBS.epoch().words == ("HGET", Keys("p").names, "#epoch")


@pytest.mark.parametrize(("kept", "expected"), [(100, 0), (128, 0), (129, 1)])
def test_a_correction_counts_from_its_slice_s_first_block(kept: int, expected: int) -> None:
    assert VERBS.correct("h", PART, kept).words[7:] == (128, expected, 100)


def test_memory_without_room_lets_nothing_grow() -> None:
    assert VERBS.pend("h", PART, 3, 60, GROW._replace(allowed=False)).words[-4] == 0
