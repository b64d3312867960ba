"""Bodies that begin as others did."""

import random

from tokenizer_cache.bodies.items import Start
from tokenizer_cache.bodies.prefixes import FIRST_BYTES, STEP_BYTES, Known, Prefixes
from tokenizer_cache.conversations.keyed import KeyedHash

KEYED = KeyedHash(b"prefixes")
TEXT = random.Random(1).randbytes(10 * STEP_BYTES)


def known(length: int) -> Known:
    return Known(length, Start(length), 1, b"frame")


def learn(prefixes: Prefixes, body: bytes, length: int) -> None:
    prefixes.add(prefixes.find(body)[1], known(length))


def length_of(prefixes: Prefixes, body: bytes) -> int:
    found = prefixes.find(body)[0]
    return found.length if found is not None else 0


def test_the_longest_known_beginning_is_found() -> None:
    prefixes = Prefixes(1 << 20, KEYED)
    for length in (
        FIRST_BYTES - 1,
        FIRST_BYTES,
        FIRST_BYTES + 3,
        STEP_BYTES - 1,
        STEP_BYTES,
        STEP_BYTES + 7,
        3 * STEP_BYTES + 5,
        3 * STEP_BYTES + 9,
    ):
        learn(prefixes, TEXT, length)
    assert length_of(prefixes, TEXT) == 3 * STEP_BYTES + 9
    assert length_of(prefixes, TEXT[: 3 * STEP_BYTES + 8]) == 3 * STEP_BYTES + 5
    assert length_of(prefixes, TEXT[: 2 * STEP_BYTES]) == STEP_BYTES + 7
    assert length_of(prefixes, TEXT[: STEP_BYTES + 6]) == STEP_BYTES
    assert length_of(prefixes, TEXT[: STEP_BYTES - 1]) == STEP_BYTES - 1
    assert length_of(prefixes, TEXT[: STEP_BYTES - 2]) == FIRST_BYTES + 3
    assert length_of(prefixes, TEXT[: FIRST_BYTES + 2]) == FIRST_BYTES
    assert length_of(prefixes, TEXT[: FIRST_BYTES - 1]) == 0, "too short to be worth it"


def test_long_beginnings_are_found_up_to_their_last_byte() -> None:
    text = random.Random(2).randbytes(45 * STEP_BYTES)
    lengths = [16 * STEP_BYTES + extra for extra in (-1, 0, 1, 4 * STEP_BYTES - 1, 4 * STEP_BYTES, 4 * STEP_BYTES + 1)]
    prefixes = Prefixes(1 << 20, KEYED)
    for length in (*lengths, 40 * STEP_BYTES + 3):
        learn(prefixes, text[: length + 9], length)
        assert length_of(prefixes, text) == length
        changed = bytearray(text)
        changed[length - 1] ^= 1
        assert length_of(prefixes, bytes(changed)) < length
        changed[length - 1] ^= 1
        changed[length] ^= 1
        assert length_of(prefixes, bytes(changed)) == length


def test_one_other_byte_and_it_is_another_body() -> None:
    prefixes = Prefixes(1 << 20, KEYED)
    learn(prefixes, TEXT, 2 * STEP_BYTES + 100)
    for place in (0, STEP_BYTES - 1, STEP_BYTES, 2 * STEP_BYTES + 99):
        other = bytearray(TEXT)
        other[place] ^= 1
        assert length_of(prefixes, bytes(other)) == 0
    other = bytearray(TEXT)
    other[2 * STEP_BYTES + 100] ^= 1
    assert length_of(prefixes, bytes(other)) == 2 * STEP_BYTES + 100


def test_branches_of_one_beginning_are_told_apart() -> None:
    prefixes = Prefixes(1 << 20, KEYED)
    left = TEXT[: STEP_BYTES + 50] + b"left" * 99
    right = TEXT[: STEP_BYTES + 50] + b"right" * 99
    learn(prefixes, left, STEP_BYTES + 200)
    learn(prefixes, right, STEP_BYTES + 300)
    assert (length_of(prefixes, left), length_of(prefixes, right)) == (STEP_BYTES + 200, STEP_BYTES + 300)


def test_it_is_bounded_and_forgets_what_was_not_used_for_longest() -> None:
    prefixes = Prefixes(10_000, KEYED)
    bodies = [bytes([number]) + TEXT[1:] for number in range(20)]
    for body in bodies:
        learn(prefixes, body, STEP_BYTES + 10)
        assert length_of(prefixes, bodies[0]) == STEP_BYTES + 10, "in use"
        assert prefixes.size_bytes <= 10_000
    assert length_of(prefixes, bodies[1]) == 0
    assert length_of(prefixes, bodies[19]) == STEP_BYTES + 10


def test_another_seed_gives_other_digests() -> None:
    one, other = Prefixes(1 << 20, KEYED), Prefixes(1 << 20, KeyedHash(b"other"))
    assert one.find(TEXT)[1].step(0) != other.find(TEXT)[1].step(0)
