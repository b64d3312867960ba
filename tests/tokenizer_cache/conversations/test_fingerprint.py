"""Fingerprints of growing texts."""

from hypothesis import given
from hypothesis import strategies as st

from tokenizer_cache.conversations.fingerprint import EMPTY, Fingerprints

ONE = Fingerprints(b"a secret of 16 b")
PARTS = st.lists(st.text(max_size=20) | st.just("\0") | st.just("x" * 40_000), max_size=5)


@given(PARTS)
def test_a_whole_has_the_fingerprint_of_its_parts_one_after_the_other(parts: list[str]) -> None:
    running = EMPTY
    for part in parts:
        running = ONE.then(running, part)
    assert running == ONE.of("".join(parts))
    assert len(running) == 16


@given(st.text(max_size=30), st.text(max_size=30))
def test_other_texts_have_other_fingerprints(one: str, other: str) -> None:
    assert (ONE.of(one) == ONE.of(other)) == (one == other)


def test_another_secret_gives_others() -> None:
    text = "x" * 100
    assert Fingerprints(b"another secret..").of(text) != ONE.of(text)


def test_the_secret_number_is_a_prime() -> None:
    """Of a number with many small factors, a difference of two texts would likely be a multiple."""
    for number in range(1, 20):
        modulus = Fingerprints(bytes([number]) * 16)._modulus
        assert modulus.bit_length() == 128
        assert all(modulus % factor for factor in range(2, 2000))
