"""Hosts that can be looked up."""

import pytest

from router.dial.hosts import is_host


@pytest.mark.parametrize(
    "text", ["a", "a.b", "a.b.", "10.0.0.1", "::1", "fd00::1", "bücher.example", "_http._tcp.a", "x" * 63]
)
def test_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".a",
        "a..b",
        "a.b..",
        "x" * 64,
        "a." + "x" * 64,
        "ü" * 60,
        "[::1",
        ":",
        "::g",
        "a b",
        "a\x00",
        "a." * 130,
    ],
)
def test_what_none_can_be_asked_for(text: str) -> None:
    assert not is_host(text)
