"""Keys in either header, and no difference between them but the key."""

import pytest

from router.clients.keys import KeySet, offered_key


@pytest.mark.parametrize("header", [b"Bearer two", b"bearer two", b"BEARER  two ", b"two"])
def test_a_key_is_taken_from_either_header(header: bytes) -> None:
    assert offered_key(header) == b"two"
    assert KeySet(["one", "two"]).accepts(header)


@pytest.mark.parametrize("header", [b"", b"Bearer", b"Bearer ", b"Bearer tw", b"Bearer two two", b"Basic two", b"twoo"])
def test_everything_else_is_no_key(header: bytes) -> None:
    assert not KeySet(["one", "two"]).accepts(header)


def test_an_empty_set_is_false_and_accepts_no_key() -> None:
    assert not KeySet([])
    assert not KeySet([]).accepts(b"Bearer one")
