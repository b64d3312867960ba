"""Checks that a client's head says in only one way where its request ends and which host it is for. Other requests are
refused and their connection is closed, because it is unknown where the next request begins."""

from collections.abc import Sequence
from typing import Final

VERSIONS: Final = frozenset({"1.0", "1.1"})
MAX_HEADERS: Final = 256
"""Most headers of a request. Each costs the event loop a microsecond or two; clients and their proxies send about
30."""


def flaw(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The flaw of a request's head; "" if it has none. Names are in lower case. The parser has refused lengths that are
    no numbers and repeated lengths."""
    if version not in VERSIONS:
        return "The request is neither HTTP/1.1 nor HTTP/1.0."
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (not hosts and version == "1.1"):
        return "The request must have one Host header."
    if b"transfer-encoding" not in names:
        return ""
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings != [b"chunked"] or version == "1.0":
        return "The only supported Transfer-Encoding is chunked, given once, in HTTP/1.1."
    return ""
