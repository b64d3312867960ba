"""Heads that say more than one thing."""

import pytest

from router.wire.framing import flaw

HOST, CHUNKED = (b"host", b"x"), (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", [HOST]),
        ("1.1", [(b"host", b"")]),
        ("1.0", []),
        ("1.0", [HOST]),
        ("1.1", [HOST, CHUNKED]),
        ("1.1", [(b"transfer-encoding", b"Chunked"), HOST]),
    ],
)
def test_what_can_be_read_in_one_way_only_is_fine(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert flaw(version, headers) == ""


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("0.9", []),
        ("2.0", [HOST]),
        ("1.1", []),
        ("1.1", [HOST, HOST]),
        ("1.0", [HOST, HOST]),
        ("1.0", [HOST, CHUNKED]),
        ("1.1", [HOST, CHUNKED, CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b"identity"), CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")]),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked, chunked")]),
        ("1.1", [HOST, (b"transfer-encoding", b"")]),
        ("1.1", [HOST, (b"transfer-encoding", b"\x0bchunked")]),
    ],
)
def test_everything_else_is_refused(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert flaw(version, headers)
