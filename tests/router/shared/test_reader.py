"""Replies are read like hiredis reads them, in any pieces, and nothing beyond the bounds is."""

from contextlib import suppress
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shared import reader
from router.shared.reader import ErrorReply, ReplyReader, UnreadableError

Value = bytes | int | None | list[Any]
Values = st.recursive(
    st.binary(max_size=40) | st.integers(-(2**62), 2**62) | st.none(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def packed(value: Value) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n%s" % (len(value), b"".join(map(packed, value)))


def deep(value: Value) -> int:
    return 1 + max(map(deep, value), default=0) if isinstance(value, list) else 0


def read(*pieces: bytes) -> list[Any]:
    replies: list[Any] = []
    one = ReplyReader()
    for piece in pieces:
        one.feed(piece, replies)
    return replies


@given(st.lists(Values.filter(lambda value: deep(value) <= reader.MAX_DEPTH), max_size=5), st.data())
def test_replies_in_pieces(values: list[Value], data: st.DataObject) -> None:
    raw = b"".join(map(packed, values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pieces = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(*pieces) == values
    other = hiredis.Reader()
    other.feed(raw)
    assert [other.gets() for _ in values] == values


@given(
    st.lists(
        st.binary(max_size=30) | st.sampled_from([b"*3\r\n", b"$5\r\nab", b":\r\n", b"+OK\r\n", b"\r\n"]), max_size=12
    )
)
def test_anything_is_read_or_refused(pieces: list[bytes]) -> None:
    with suppress(UnreadableError):
        read(*pieces)


def test_status_and_errors() -> None:
    assert read(b"+OK\r\n-ERR no\x1b[31m such\r\n*-1\r\n*0\r\n") == [b"OK", ErrorReply("ERR no?[31m such"), None, []]


@pytest.mark.parametrize(
    "raw",
    [
        b"$999999999\r\n",
        b"$99999999999999999999\r\n",
        b"$-2\r\n",
        b"*4000000000\r\n",
        b"*-2\r\n",
        b"*1\r\n" * 100,
        b"*20000\r\n" * 2,
        b"*2\r\n" + b"$5000000\r\n" + b"x" * 5_000_000 + b"\r\n$5000000\r\n",
        b":1_0\r\n",
        b": 1\r\n",
        b":" + b"1" * 900 + b"\r\n",
        b"+" + b"x" * 2000,
        b"$3\r\nabcde",
        b"%1\r\n+a\r\n+b\r\n",
        b"~1\r\n+a\r\n",
        b">1\r\n+a\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"(123\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\r\n",
    ],
)
def test_malformed_replies_are_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        read(raw)


def test_what_is_sound_before_it_is_read() -> None:
    replies: list[Any] = []
    with pytest.raises(UnreadableError):
        ReplyReader().feed(b"+OK\r\n:1\r\n*9999999\r\n", replies)
    assert replies == [b"OK", 1]
