"""A keyed hash of what clients send."""

from tokenizer_cache.keyed import DIGEST_BYTES, KeyedHash
from tokenizer_cache.rules import Served


def test_equal_secrets_give_equal_digests_and_others_do_not() -> None:
    assert KeyedHash(b"a").of(b"text") == KeyedHash(b"a").of(b"text") != KeyedHash(b"b").of(b"text")
    assert len(KeyedHash(b"a").of(b"")) == DIGEST_BYTES == 16


def test_it_counts_where_the_beginning_ends() -> None:
    keyed = KeyedHash(b"a")
    assert len({keyed.of(b"text"[at:], b"text"[:at]) for at in range(5)} | {keyed.of(b"text\0")}) == 6


def test_formats_are_told_apart_by_128_bits() -> None:
    assert len(Served(own_template=True).key.partition("~")[2]) == 32
