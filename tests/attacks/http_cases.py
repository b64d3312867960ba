"""What hostile clients send: a deterministic table, made of these."""

import json
from typing import NamedTuple

from tests.router.http.site import CHAT, GOOD

KEY = "key"
BODY = json.dumps(GOOD[CHAT]).encode()
SMUGGLED = b"POST /smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
"""What no worker may ever see as a request."""
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
AUTHORIZED = b"authorization: Bearer " + KEY.encode()


class Case(NamedTuple):
    """`served`: the worker gets exactly this request. `refused`: it gets nothing. `either`: it gets nothing, or one
    request that all parsers read alike."""

    name: str
    data: bytes
    fate: str = "either"


def request(*lines: bytes, line: bytes = b"POST %s HTTP/1.1" % CHAT.encode(), body: bytes = BODY) -> bytes:
    """A good request with `lines` more."""
    own = [line, b"host: x", b"content-type: application/json", AUTHORIZED, b"content-length: %d" % len(body)]
    return b"\r\n".join([*own, *lines]) + b"\r\n\r\n" + body


def framed(*lines: bytes, body: bytes, line: bytes = b"POST %s HTTP/1.1" % CHAT.encode()) -> bytes:
    """A request whose framing is in `lines`."""
    return b"\r\n".join([line, b"host: x", b"content-type: application/json", AUTHORIZED, *lines]) + b"\r\n\r\n" + body


def chunked(body: bytes = BODY, ending: bytes = b"0\r\n\r\n") -> bytes:
    """One chunk and the end."""
    return b"%x\r\n%b\r\n%b" % (len(body), body, ending)
