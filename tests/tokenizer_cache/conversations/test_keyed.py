"""A keyed hash of what clients send."""

from tokenizer_cache.conversations.keyed import DIGEST_BYTES, SHORT_BYTES, KeyedHash
from tokenizer_cache.rules import Served


def test_equal_secrets_give_equal_digests_and_others_do_not() -> None:
    assert KeyedHash(b"a").of(b"text") == KeyedHash(b"a").of(b"text") != KeyedHash(b"b").of(b"text")
    assert len(KeyedHash(b"a").of(b"")) == DIGEST_BYTES == 16


def test_it_counts_where_the_beginning_ends() -> None:
    keyed = KeyedHash(b"a")
    assert len({keyed.of(b"text"[at:], b"text"[:at]) for at in range(5)} | {keyed.of(b"text\0")}) == 6


def test_formats_are_told_apart_by_128_bits() -> None:
    assert len(Served(own_template=True).key.partition("~")[2]) == 32


def test_it_counts_where_the_beginning_ends_in_short_and_long_inputs() -> None:
    keyed, text = KeyedHash(b"a"), bytes(range(256)) * 2
    cuts = {keyed.of(text[at:end], text[:at]) for end in (SHORT_BYTES, 2 * SHORT_BYTES) for at in (0, 1, 16, 17, 32)}
    assert len(cuts) == 10
