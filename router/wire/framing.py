"""Whether a client's head says in one way only where its request ends and for whom it is. What does not is refused,
and its connection closed: nobody knows where the next request begins."""

from collections.abc import Sequence
from typing import Final

VERSIONS: Final = frozenset({"1.0", "1.1"})
MAX_HEADERS: Final = 256
"""Each costs the event loop a microsecond or two; clients and their proxies send about 30."""


def flaw(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str:
    """What is wrong with the head of a request; "" for nothing. Names are in lower case. The parser has refused
    lengths that are no numbers or not alone."""
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
        return "The only Transfer-Encoding that is understood is chunked, once, in HTTP/1.1."
    return ""
