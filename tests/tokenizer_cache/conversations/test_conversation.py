"""The conversation cache: bounds, sharing, and what eviction leaves."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.conversations.chain import pack
from tokenizer_cache.conversations.conversation import Boundary, Conversations, Room, Spine
from tokenizer_cache.conversations.journal import JournalEntry


def boundary(cache: Conversations, base: Boundary | None, hashes: bytes, chars: int = 0) -> Boundary:
    spine, blocks = cache.grow(base, hashes)
    return Boundary(spine, blocks, b"", tokens=blocks, chars=chars)


def h(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in numbers)


def test_the_deepest_known_boundary_is_found() -> None:
    cache = Conversations(Room(1 << 20))
    one = boundary(cache, None, h(1))
    cache.add(b"k1", one)
    two = boundary(cache, one, h(2, 3))
    cache.add(b"k2", two)
    assert cache.find([b"k0", b"k1", b"k2", b"k3"]) == (2, two)
    assert cache.find([b"k0", b"k1"]) == (1, one)
    assert cache.find([b"k0"]) == (0, None)
    assert two.chain() == h(1, 2, 3)
    assert one.chain() == h(1)
    assert (one.parent(b"root"), Boundary(Spine(), 0, b"", 0).parent(b"root")) == (h(1), b"root")


def test_a_growing_conversation_has_one_spine_and_a_fork_its_own() -> None:
    cache = Conversations(Room(1 << 20))
    one = boundary(cache, None, h(1))
    cache.add(b"1", one)
    two = boundary(cache, one, h(2))
    cache.add(b"2", two)
    fork = boundary(cache, one, h(9))
    cache.add(b"f", fork)
    assert two.spine is one.spine
    assert fork.spine is not one.spine
    assert (two.chain(), fork.chain()) == (h(1, 2), h(1, 9))


def test_two_growths_from_one_tip_do_not_mix() -> None:
    cache = Conversations(Room(1 << 20))
    one = boundary(cache, None, h(1))
    cache.add(b"1", one)
    left, right = boundary(cache, one, h(2)), boundary(cache, one, h(3))
    cache.add(b"l", left)
    cache.add(b"r", right)
    assert (left.chain(), right.chain()) == (h(1, 2), h(1, 3))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_it_never_holds_more_than_its_bound_and_accounts_for_every_byte(steps: list[tuple[int, int, int]]) -> None:
    cache = Conversations(Room(20_000))
    chains: dict[bytes, bytes] = {}
    for base_name, name, blocks in steps:
        _, base = cache.find([bytes([base_name])])
        new = h(*(name * 1000 + number for number in range(blocks)))
        made = boundary(cache, base, new)
        chains[bytes([name])] = (base.chain() if base else b"") + new
        cache.add(bytes([name]), made)
        assert cache.room.size_bytes <= 20_000
    for key, chain in chains.items():
        _, found = cache.find([key])
        assert found is None or found.chain() == chain
    for key in chains:
        cache.remove(key)
    assert (len(cache), cache.room.size_bytes) == (0, 0)


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = Conversations(Room(8_000))
    for number in range(3):
        cache.add(bytes([number]), boundary(cache, None, h(number)))
    cache.find([bytes([0])])
    number = 3
    while not cache.room.evictions:
        cache.add(bytes([number]), boundary(cache, None, h(number)))
        number += 1
    assert cache.find([bytes([0])])[1] is not None
    assert cache.find([bytes([1])])[1] is None


def test_caches_share_one_room_and_the_least_recently_used_of_any_goes_first() -> None:
    room = Room(4_000)
    one, other = Conversations(room), Conversations(room)
    one.add(b"a", boundary(one, None, h(1)))
    other.add(b"b", boundary(other, None, h(2)))
    one.find([b"a"])
    number = 3
    while not room.evictions:
        other.add(bytes([number]), boundary(other, None, h(number)))
        assert room.size_bytes <= room.max_bytes
        number += 1
    assert one.find([b"a"])[1] is not None
    assert other.find([b"b"])[1] is None
    room.clear()
    assert (len(one), len(other), room.size_bytes) == (0, 0, 0)


def test_what_is_evicted_needs_no_collector_of_cycles() -> None:
    """A router leaves the oldest generation of objects alone: a cycle that gets there stays for ever."""
    cache = Conversations(Room(20_000))
    gc.collect()
    gc.disable()
    try:
        base = None
        for number in range(400):
            base = boundary(cache, base if number % 4 else None, h(number))
            cache.add(number.to_bytes(2, "big"), base)
        del base
        assert cache.room.evictions > 300
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_a_sibling_told_keeps_its_own_ids() -> None:
    """A template may rewrite the end of what was known: then the blocks agree and the ids after them do not."""
    cache = Conversations(Room(1 << 20))
    cache.keep_ids = True
    block, ours, theirs = pack([1] * 4), pack([2]), pack([3])
    spine, blocks = cache.grow(None, bytes(8), block + ours)
    cache.add(b"parent", Boundary(spine, blocks, ours, tokens=5))
    ids = block + theirs + pack([4])
    cache._take(JournalEntry(b"", b"key", b"parent", bytes(8), ids, ids[16:], 6, 0, b"", "", None, b""))
    found = cache.find([b"key"])[1]
    assert found is not None
    assert found.ids() == ids
